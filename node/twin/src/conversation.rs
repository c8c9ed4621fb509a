//! A model's turns for one goal: it asks for tools until it answers.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    executive::{Outcome, Stop},
    inference::{ChatModel, ModelError},
    mind::Mind,
    planner::{
        ToolInfo,
        answer::{Call, CallFailure, Judged, words},
        slots::{Slots, abstracted},
    },
    ports::Adopted,
    speech::Held,
    trace::Trace,
};

/// The longest tool result a model is shown, bytes.
const MAX_SHOWN: usize = 16 * 1024;

impl Mind {
    /// Lets a model think and act.
    pub(crate) async fn run_model(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        tools: &[ToolInfo],
        model: &ChatModel,
        context: &str,
    ) -> Result<Outcome, Stop> {
        let gate = self.gate(playbook)?;
        let slots = Slots::parse(&trace.goal);
        let mut messages = vec![
            json!({"role": "system", "content": context}),
            json!({"role": "user", "content": trace.goal}),
        ];
        let (mut calls, mut templates) = (Vec::new(), Vec::new());
        for _ in 0..model.max_turns.max(1) {
            let start = Instant::now();
            trace.model_asked(model.name()).await?;
            let sink = trace.progress.clone();
            let mut held = Held::new(&gate, sink.as_ref());
            let turn = model
                .turn(&messages, tools, &mut |text| held.push(text))
                .await;
            let turn = match turn {
                Ok(turn) => turn,
                Err(error) => {
                    trace.model_failed(model.name(), &error, start).await?;
                    return Err(Stop::Model(error));
                }
            };
            trace.model_answered(model.name(), &turn, start).await?;
            if let Some(refusal) = held.finish() {
                return Err(Stop::Refused(Box::new(refusal)));
            }
            if turn.calls.is_empty() {
                let contributed = (0..calls.len())
                    .filter(|at| {
                        calls
                            .get(*at)
                            .is_some_and(|call: &Call| call.result.is_ok())
                    })
                    .collect();
                let reached = !turn.text.trim().is_empty();
                let output = if reached {
                    turn.text
                } else {
                    format!("The model `{}` ended without an answer.", model.name())
                };
                let judged = Judged {
                    reached,
                    output,
                    contributed,
                };
                return Ok(model_outcome(model, calls, templates, judged));
            }
            messages.push(
                json!({"role": "assistant", "content": turn.text, "tool_calls":
                turn.calls.iter().map(|call| json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments}}))
                    .collect::<Vec<_>>()}),
            );
            for wanted in turn.calls {
                let text = if wanted.arguments.trim().is_empty() {
                    "{}"
                } else {
                    &wanted.arguments
                };
                let (result, template) = match serde_json::from_str::<Value>(text) {
                    Ok(parameters) => {
                        let info = tools.iter().find(|tool| tool.name == wanted.name);
                        let template = info.and_then(|tool| abstracted(tool, &parameters, &slots));
                        (
                            self.call_tool(trace, playbook, &wanted.name, parameters)
                                .await?,
                            template,
                        )
                    }
                    Err(error) => (
                        Err(CallFailure {
                            kind: "invalid_parameters".into(),
                            message: format!("the parameters are not JSON: {error}"),
                        }),
                        None,
                    ),
                };
                let shown = match &result {
                    Ok(value) => shorten(&value.to_string()),
                    Err(failure) => json!({"error": failure.message}).to_string(),
                };
                messages.push(json!({"role": "tool", "tool_call_id": wanted.id, "content": shown}));
                calls.push(Call {
                    tool: wanted.name,
                    result,
                    answers: true,
                });
                templates.push(template);
            }
        }
        let found: Vec<String> = calls
            .iter()
            .filter_map(|call| call.result.as_ref().ok().and_then(words))
            .collect();
        let judged = Judged {
            reached: false,
            output: format!(
                "The model `{}` called tools for {} turns without coming to an answer. What the \
                 tools returned:\n{}",
                model.name(),
                model.max_turns,
                found.join("\n")
            ),
            contributed: Vec::new(),
        };
        Ok(model_outcome(model, calls, templates, judged))
    }
}

/// The outcome where no model answered.
pub(crate) fn not_tried(engine: &str, error: &ModelError) -> Outcome {
    let mut outcome = Outcome::planned(Judged {
        reached: false,
        output: format!(
            "The goal was not tried: {error}. To let the built-in planner try when the model is away, \
             set `inference.fallback = \"planner\"` (PAGI_LLM_FALLBACK=planner)."
        ),
        contributed: Vec::new(),
    });
    engine.clone_into(&mut outcome.engine);
    outcome
}

fn model_outcome(
    model: &ChatModel,
    calls: Vec<Call>,
    templates: Vec<Option<pagi_playbook::CaseStep>>,
    judged: Judged,
) -> Outcome {
    let engine = model.name().to_owned();
    Outcome {
        engine,
        fallback: None,
        case: None,
        calls,
        templates,
        judged,
        whole: true,
    }
}

fn shorten(text: &str) -> String {
    if text.len() <= MAX_SHOWN {
        return text.to_owned();
    }
    let mut end = MAX_SHOWN;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!(
        "{}… ({} bytes left out)",
        text.get(..end).unwrap_or_default(),
        text.len() - end
    )
}
