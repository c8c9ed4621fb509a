//! `pagi ask` and `pagi plan`.

use std::io::IsTerminal;

use clap::Args;
use pagi_api::goal::{GoalRequest, GoalStatus, Interaction, Plan, PlanRequest, Step};
use serde::Deserialize;

use super::{
    CliError, Context, context,
    select::{OptionalTwinArg, TwinArg},
};
use crate::{
    client::{SseStream, encode, event_data},
    render,
};

/// `pagi ask`.
#[derive(Debug, Args)]
pub struct AskArgs {
    #[command(flatten)]
    twin: TwinArg,
    /// What to reach
    #[arg(required = true)]
    goal: Vec<String>,
}

/// `pagi plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    twin: OptionalTwinArg,
    /// What to reach
    #[arg(required = true)]
    goal: Vec<String>,
}

/// The goal that the words of the command line make.
fn whole(words: &[String]) -> Result<String, CliError> {
    let goal = words.join(" ");
    if goal.trim().is_empty() {
        return Err(CliError::usage(
            "the goal is empty",
            "say what to reach, in quotes",
        ));
    }
    Ok(goal)
}

/// The data of a `text` event.
#[derive(Debug, Deserialize)]
struct Text {
    delta: String,
}

/// Runs a goal: shows its steps as they end, then its output.
pub async fn ask(args: AskArgs, ctx: &Context) -> anyhow::Result<()> {
    let goal = whole(&args.goal)?;
    let client = ctx.client()?;
    let twin = args.twin.resolve(&client).await?;
    let path = format!("/interact/{}", encode(&twin.twin_id));
    let mut stream = client.post_stream(&path, &GoalRequest { goal }).await?;
    let outcome = watch(&mut stream, ctx).await?;
    if ctx.json {
        ctx.document(&outcome)?;
    } else {
        ctx.print(&ending(&outcome, ctx.quiet))?;
    }
    match outcome.status {
        GoalStatus::Completed => Ok(()),
        GoalStatus::Refused => Err(CliError::after_output(
            "the goal was refused",
            "`pagi audit` shows by which rule; `pagi playbook show` shows the rules",
        )
        .into()),
        GoalStatus::Failed => Err(CliError::after_output(
            "the goal was not reached",
            "see the output for what is missing; `pagi tool list` shows what the twin can use",
        )
        .into()),
    }
}

/// Shows what happens until the goal ends.
async fn watch(stream: &mut SseStream, ctx: &Context) -> anyhow::Result<Interaction> {
    let live = Live::new(ctx);
    let mut in_text = false;
    while let Some(event) = stream.next().await? {
        match event.event.as_str() {
            "text" => {
                let Text { delta } = event_data(&event)?;
                in_text |= live.text(&delta);
            }
            "step" => {
                if std::mem::take(&mut in_text) {
                    live.end_text();
                }
                live.step(&event_data(&event)?)?;
            }
            "done" | "problem" => {
                if in_text {
                    live.end_text();
                }
                return Ok(event_data(&event)?);
            }
            // A kind of a later version.
            _ => {}
        }
    }
    let next = "`pagi events` shows how far it came";
    Err(CliError::new("the node ended the stream before the goal ended", next).into())
}

/// Where the progress of a goal is shown.
struct Live<'a> {
    ctx: &'a Context,
    /// A model's text is worth showing as it is written only to someone who watches.
    shows_text: bool,
}

impl<'a> Live<'a> {
    fn new(ctx: &'a Context) -> Self {
        let shows_text = !ctx.quiet && !ctx.json && std::io::stderr().is_terminal();
        Self { ctx, shows_text }
    }

    /// A step: on stdout for a person, on stderr with `--json -v`.
    fn step(&self, step: &Step) -> anyhow::Result<()> {
        let mut text = render::step_line(step, self.ctx.width);
        if self.ctx.verbose > 0 {
            for (name, value) in [("in ", &step.input), ("out", &step.output)] {
                if !value.is_null() {
                    let value = render::clean_line(&value.to_string());
                    text.push_str(&format!(
                        "\n    {}",
                        render::dim(&format!("{name} {value}"))
                    ));
                }
            }
        }
        if self.ctx.quiet {
            Ok(())
        } else if !self.ctx.json {
            self.ctx.print(&text)
        } else {
            if self.ctx.verbose > 0 {
                self.ctx.note(&text);
            }
            Ok(())
        }
    }

    /// Text as a model writes it; gives whether it was shown.
    fn text(&self, delta: &str) -> bool {
        if self.shows_text && !delta.is_empty() {
            context::write_stderr_part(&render::dim(&render::clean_text(delta)));
        }
        self.shows_text && !delta.is_empty()
    }

    fn end_text(&self) {
        context::write_stderr_part("\n");
    }
}

/// The output, and for a person how it came about.
fn ending(outcome: &Interaction, quiet: bool) -> String {
    let output = render::clean_text(&outcome.output);
    if quiet {
        return output;
    }
    let status = match outcome.status {
        GoalStatus::Completed => render::good("completed"),
        GoalStatus::Refused => render::warn("refused"),
        GoalStatus::Failed => render::bad("failed"),
    };
    let mut facts = vec![
        format!("{status} in {}", render::millis(outcome.duration_ms)),
        render::clean_line(&outcome.engine),
    ];
    if let Some(why) = &outcome.fallback {
        facts.push(format!(
            "instead of the configured model: {}",
            render::clean_line(why)
        ));
    }
    if let Some(cid) = &outcome.artifact_cid {
        facts.push(format!("learned {}", render::clean_line(cid)));
    }
    format!("\n{}\n\n{}", output.trim_end(), facts.join(" · "))
}

/// Shows the calls a goal would take.
pub async fn plan(args: PlanArgs, ctx: &Context) -> anyhow::Result<()> {
    let goal = whole(&args.goal)?;
    let client = ctx.client()?;
    let twin_id = args.twin.resolve(&client).await?;
    let plan: Plan = client.post("/plan", &PlanRequest { twin_id, goal }).await?;
    ctx.show(&plan, || plan_text(&plan))
}

fn plan_text(plan: &Plan) -> String {
    let line = render::clean_line;
    let mut lines = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let parameters = line(&step.parameters.to_string());
        lines.push(format!(
            "{:>3} {} {parameters}",
            at + 1,
            render::bold(&line(&step.tool))
        ));
        lines.push(format!("    {}", render::dim(&line(&step.why))));
    }
    if plan.steps.is_empty() {
        lines.push("no tool call is planned".to_owned());
    }
    if let Some(condition) = &plan.condition {
        lines.push(format!("condition: {}", line(condition)));
    }
    if let Some(case) = &plan.case {
        lines.push(format!("follows the learned case {}", line(case)));
    }
    lines.extend(
        plan.missing
            .iter()
            .map(|what| format!("{} {}", render::warn("missing:"), line(what))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: GoalStatus) -> Interaction {
        Interaction {
            twin_id: "t".into(),
            goal: "g".into(),
            status,
            output: "The load is 3 %.\u{1b}[2J\n".into(),
            steps: Vec::new(),
            engine: "planner".into(),
            fallback: None,
            case: None,
            playbook: "p".into(),
            artifact_cid: Some("bafy".into()),
            duration_ms: 1234,
        }
    }

    #[test]
    fn the_ending_names_status_time_and_artifact_and_quiet_gives_the_output_alone() {
        let text = ending(&outcome(GoalStatus::Completed), false);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "\nThe load is 3 %.[2J\n\ncompleted in 1.23 s · planner · learned bafy"
        );
        assert_eq!(
            ending(&outcome(GoalStatus::Failed), true),
            "The load is 3 %.[2J\n"
        );
    }

    #[test]
    fn a_plan_shows_calls_reasons_and_what_is_missing() {
        let plan = Plan {
            goal: "g".into(),
            steps: vec![pagi_api::goal::PlannedStep {
                tool: "calculator".into(),
                parameters: serde_json::json!({ "expression": "1+1" }),
                why: "the goal holds a sum".into(),
                score: 1.0,
            }],
            case: None,
            condition: Some("above 80 %".into()),
            missing: vec!["a tool that sends mail".into()],
        };
        let text = anstream::adapter::strip_str(&plan_text(&plan)).to_string();
        assert!(
            text.contains("1 calculator {\"expression\":\"1+1\"}"),
            "{text}"
        );
        assert!(
            text.contains("the goal holds a sum") && text.contains("above 80 %"),
            "{text}"
        );
        assert!(text.contains("missing: a tool that sends mail"), "{text}");
    }
}
