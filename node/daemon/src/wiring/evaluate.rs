//! The MO's task suite, run by the planner in a sandbox: no twin, no memory, no network, and of all
//! tools only those of this program that read.
//!
//! Both playbooks see the same tools and the same results: a tool that was called with the same
//! parameters before answers from what it said then.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use pagi_hive::ports::{Evaluate, EvaluateError};
use pagi_playbook::{
    State,
    evaluation::{Report, Suite, threshold},
};
use pagi_plugin_host::{Caller, HostConfig, ToolError, ToolHost};
use pagi_twin::{
    planner::{
        self, Knowledge, KnownCase, ToolInfo,
        answer::{Call, CallFailure, judge},
        parts::parts,
    },
    ports::Tools,
};
use serde_json::Value;

use super::gateway::Gateway;
use crate::cli::CliError;

/// Time for a whole evaluation.
const PATIENCE: Duration = Duration::from_secs(60);

type Results = BTreeMap<String, Result<Value, CallFailure>>;

/// The sandbox and its suite.
pub struct Sandbox {
    suite: Suite,
    host: ToolHost,
    /// The node's tools: what a plan may name. None of them is called.
    gateway: OnceLock<Arc<Gateway>>,
}

impl Sandbox {
    /// A sandbox with the suite called `name`, or in the file `name`.
    ///
    /// # Errors
    /// [`CliError`] where there is no such suite, or it is none.
    pub fn open(name: &str) -> Result<Self, CliError> {
        let next = "set [hive] suite in config.toml to a file of JSON lines, or to one of the \
                    starter suites: base, monitoring, research";
        let wrong = |cause: String| CliError::new(format!("the task suite {name}: {cause}"), next);
        let text = match pagi_playbooks::suite(name) {
            Some(text) => text.to_owned(),
            None => std::fs::read_to_string(Path::new(name))
                .map_err(|error| wrong(error.to_string()))?,
        };
        let suite = Suite::parse(&text).map_err(|error| wrong(error.to_string()))?;
        let host =
            ToolHost::new(HostConfig::default()).map_err(|error| wrong(error.to_string()))?;
        pagi_builtin_tools::register_all(&host).map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            suite,
            host,
            gateway: OnceLock::new(),
        })
    }

    /// Lets plans name the node's tools.
    pub fn see(&self, gateway: Arc<Gateway>) {
        let _ = self.gateway.set(gateway);
    }

    async fn tools(&self) -> Vec<ToolInfo> {
        match self.gateway.get() {
            Some(gateway) => gateway.catalog("").await,
            None => self
                .host
                .list()
                .into_iter()
                .map(|spec| ToolInfo {
                    name: spec.name,
                    description: spec.description,
                    parameters: spec.parameters,
                    read_only: spec.annotations.read_only,
                })
                .collect(),
        }
    }

    async fn call(
        &self,
        results: &mut Results,
        tool: &str,
        parameters: &Value,
    ) -> Result<Value, CallFailure> {
        let key = format!("{tool} {parameters}");
        if let Some(known) = results.get(&key) {
            return known.clone();
        }
        let reads = self
            .host
            .get(tool)
            .is_some_and(|spec| spec.annotations.read_only && !spec.annotations.open_world);
        let result = if reads {
            let caller = Caller { twin_id: None };
            let called = self.host.execute(tool, &caller, parameters.clone());
            called.await
        } else {
            Err(ToolError::Denied {
                reason: "the sandbox only reads".into(),
            })
        };
        let result = result.map_err(|error| CallFailure {
            kind: "sandbox".into(),
            message: error.to_string(),
        });
        results.insert(key, result.clone());
        result
    }

    /// Which tasks are passed under a playbook.
    async fn run(&self, state: &State, tools: &[ToolInfo], results: &mut Results) -> Vec<bool> {
        let cases: Vec<KnownCase> = state
            .cases()
            .map(|(case, tally)| KnownCase {
                case: case.clone(),
                helpful: tally.helpful,
                harmful: tally.harmful,
            })
            .collect();
        let tally = |name: &str| {
            let tally = state.tally(&format!("tool:{name}"));
            (tally.helpful, tally.harmful)
        };
        let knowledge = Knowledge {
            tools,
            cases: &cases,
            tool_tally: &tally,
            has_memories: false,
        };
        let mut passed = Vec::with_capacity(self.suite.tasks.len());
        for task in &self.suite.tasks {
            let (mut reached, mut rests_on) = (true, BTreeSet::new());
            let mut outputs = Vec::new();
            for part in parts(&task.goal) {
                let drafted = planner::plan(&part.goal, &knowledge);
                let mut calls = Vec::new();
                for (step, answers) in drafted.plan.steps.iter().zip(&drafted.answers) {
                    let result = self.call(results, &step.tool, &step.parameters).await;
                    calls.push(Call {
                        tool: step.tool.clone(),
                        result,
                        answers: *answers,
                    });
                }
                let judged = judge(&part.goal, drafted.condition.as_ref(), &calls);
                let of = judged.contributed.iter().filter_map(|at| calls.get(*at));
                rests_on.extend(of.map(|call| call.tool.clone()));
                reached &= judged.reached && part.undone.is_none();
                outputs.push(judged.output);
            }
            let rests_on: Vec<&str> = rests_on.iter().map(String::as_str).collect();
            passed.push(task.is_passed(reached, &rests_on, &outputs.join("\n")));
        }
        passed
    }
}

#[async_trait]
impl Evaluate for Sandbox {
    async fn evaluate(
        &self,
        current: Arc<State>,
        candidate: Arc<State>,
    ) -> Result<Report, EvaluateError> {
        let both = async {
            let (tools, mut results) = (self.tools().await, Results::new());
            let before = self.run(&current, &tools, &mut results).await;
            let after = self.run(&candidate, &tools, &mut results).await;
            Report::new(&self.suite, &before, &after, threshold(&current))
        };
        tokio::time::timeout(PATIENCE, both)
            .await
            .map_err(|_| EvaluateError(format!("it took longer than {} s", PATIENCE.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use pagi_playbook::{Bullet, Case, CaseStep, Count, Delta, Fill, Genesis, Merged};
    use serde_json::json;

    use super::*;

    fn base() -> Arc<State> {
        let genesis = Genesis::from_toml("test", pagi_playbooks::BASE).unwrap();
        Arc::new(State::new(&genesis).unwrap())
    }

    fn with(state: &State, case: Case, bullets: Vec<Bullet>) -> Arc<State> {
        let counts = vec![Count {
            target: case.id.clone(),
            helpful: 1,
            harmful: 0,
        }];
        let delta = Delta {
            cases: vec![case],
            bullets,
            counts,
            ..Delta::default()
        };
        Arc::new(state.preview(vec![Merged {
            artifact: Default::default(),
            author: SigningIdentity::from_seed(&[1; 32]).did().clone(),
            delta,
        }]))
    }

    fn case(terms: &[&str], tool: &str, parameters: &[(&str, Fill)]) -> Case {
        let parameters = parameters
            .iter()
            .map(|(name, fill)| ((*name).to_owned(), fill.clone()))
            .collect();
        Case::new(
            terms.iter().map(|term| (*term).to_owned()),
            vec![CaseStep {
                tool: tool.into(),
                parameters,
            }],
        )
    }

    #[tokio::test]
    async fn every_starter_suite_is_passed_by_the_base_playbook() {
        for name in pagi_playbooks::suites() {
            let sandbox = Sandbox::open(name).unwrap();
            let tools = sandbox.tools().await;
            let passed = sandbox.run(&base(), &tools, &mut Results::new()).await;
            let failed: Vec<&str> = passed
                .iter()
                .zip(&sandbox.suite.tasks)
                .filter(|(passed, _)| !**passed)
                .map(|(_, task)| task.goal.as_str())
                .collect();
            assert!(failed.is_empty(), "{name}: {failed:?}");
        }
    }

    #[tokio::test]
    async fn an_honest_case_passes_and_a_hidden_regression_does_not() {
        let sandbox = Sandbox::open("base").unwrap();
        let honest = with(
            &base(),
            case(&["health", "machin"], "system_monitor", &[]),
            Vec::new(),
        );
        let report = sandbox.evaluate(base(), honest).await.unwrap();
        assert_eq!(report.verdict(), Ok(()), "{report:?}");
        // A case that answers every calculation with the same sum, behind a long honest text.
        let terms = pagi_twin::lexical::term_set("Calculate 3.5 * 12 and tell me the result");
        let terms: Vec<&str> = terms.iter().map(String::as_str).collect();
        let wrong = case(
            &terms,
            "calculator",
            &[("expression", Fill::Const(json!("1+1")))],
        );
        let text = "Read the figures twice before you report them. ".repeat(12);
        let hidden = with(&base(), wrong, vec![Bullet::new("tools", text)]);
        let report = sandbox.evaluate(base(), hidden).await.unwrap();
        assert!(report.verdict().is_err(), "{report:?}");
        assert!(report.lost[0].contains("Calculate"), "{report:?}");
    }

    #[tokio::test]
    async fn the_sandbox_only_reads() {
        let sandbox = Sandbox::open("base").unwrap();
        let mut results = Results::new();
        let parameters = json!({"content": "x"});
        let refused = sandbox.call(&mut results, "remember", &parameters).await;
        assert!(refused.unwrap_err().message.contains("only reads"));
        assert!(Sandbox::open("/nowhere/suite.jsonl").is_err());
    }
}
