//! `pagi swarm task` and `pagi swarm tasks`: work given to the swarm.

use clap::{Args, Subcommand};
use pagi_api::work::{AskSwarm, SwarmTask, SwarmTasks, TaskNews, TaskStatus, WorkedTask};
use time::OffsetDateTime;

use super::{CliError, Context, select::OptionalTwinArg};
use crate::{
    client::{Client, encode, event_data},
    render::{self, Table},
};

/// `pagi swarm task` and `pagi swarm tasks`.
#[derive(Debug, Subcommand)]
pub enum SwarmTaskCommand {
    /// Give a task to the swarm and wait for its result; watch one, or take one back
    Task(TaskArgs),
    /// List tasks given to the swarm, and tasks of others this node works on
    Tasks,
}

/// `pagi swarm task`.
#[derive(Debug, Args)]
pub struct TaskArgs {
    /// What to reach; only the node that is given the task sees it
    #[arg(required_unless_present_any = ["cancel", "watch"])]
    goal: Vec<String>,
    /// A tool the worker must have; may be given more than once
    #[arg(long = "need", value_name = "TOOL")]
    needs: Vec<String>,
    /// When the result is no longer wanted: 90s, 10m, 2h; at most 24h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds)]
    deadline: u64,
    /// What every node may know of the goal [default: nothing but keywords]
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
    /// Do not wait for the result
    #[arg(long)]
    detach: bool,
    /// Take this task back
    #[arg(long, value_name = "ID", conflicts_with_all = ["goal", "needs", "summary", "detach", "watch"])]
    cancel: Option<String>,
    /// Wait for the result of this task
    #[arg(long, value_name = "ID", conflicts_with_all = ["goal", "needs", "summary", "detach"])]
    watch: Option<String>,
    #[command(flatten)]
    twin: OptionalTwinArg,
}

/// A length of time such as `90s`, `10m` or `2h` in seconds; a bare number is seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let number: Option<u64> = number.parse().ok();
    let seconds = number.and_then(|number| number.checked_mul(unit));
    seconds
        .filter(|seconds| (1..=24 * 3600).contains(seconds))
        .ok_or_else(|| "give a time from 1s to 24h, such as 90s, 10m or 2h".to_owned())
}

/// Runs a `pagi swarm task` or `pagi swarm tasks` command.
pub async fn swarm_task(command: SwarmTaskCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let args = match command {
        SwarmTaskCommand::Task(args) => args,
        SwarmTaskCommand::Tasks => {
            let tasks: SwarmTasks = client.get("/swarm/tasks").await?;
            return ctx.show(&tasks, || list(ctx, &tasks));
        }
    };
    if let Some(id) = &args.cancel {
        let task: SwarmTask = client.delete(&path(id)).await?;
        return ctx.show(&task, || taken_back(&task));
    }
    if let Some(id) = &args.watch {
        return watch(&client, id, ctx).await;
    }
    let goal = args.goal.join(" ");
    if goal.trim().is_empty() {
        let next = "say what to reach, in quotes";
        return Err(CliError::usage("the goal is empty", next).into());
    }
    let request = AskSwarm {
        goal,
        twin_id: args.twin.resolve(&client).await?,
        needs: args.needs,
        summary: args.summary,
        deadline_s: Some(args.deadline),
    };
    let task: SwarmTask = client.post("/swarm/tasks", &request).await?;
    if args.detach {
        return ctx.show(&task, || {
            format!(
                "{} {}\nwait for its result with: pagi swarm task --watch {}",
                render::good("given to the swarm as"),
                task.id,
                task.id
            )
        });
    }
    watch(&client, &task.id, ctx).await
}

fn path(id: &str) -> String {
    format!("/swarm/tasks/{}", encode(id))
}

/// Shows what happens to a task until it ends, then its result.
async fn watch(client: &Client, id: &str, ctx: &Context) -> anyhow::Result<()> {
    let mut events = client.follow(path(id), None);
    let mut began = false;
    loop {
        let lost = || ctx.note("the connection to the node is lost; trying again");
        let news: TaskNews = event_data(&events.next(lost).await?)?;
        let task = match news {
            TaskNews::Done(task) | TaskNews::Failed(task) => task,
            news => {
                // A stream that was made again begins from the start.
                let again =
                    matches!(news, TaskNews::Offered(_)) && std::mem::replace(&mut began, true);
                if !ctx.json && !ctx.quiet && !again {
                    ctx.print(&line(&news))?;
                }
                continue;
            }
        };
        if ctx.json {
            ctx.document(&task)?;
        } else {
            ctx.print(&ending(&task, ctx.quiet))?;
        }
        return match task.status {
            TaskStatus::Done => Ok(()),
            _ => {
                let reason = task.reason.unwrap_or_default();
                let cause = format!("the task was not done: {}", render::clean_line(&reason));
                Err(CliError::after_output(cause, next_step(task.attempt)).into())
            }
        };
    }
}

fn next_step(attempts: u32) -> &'static str {
    if attempts == 0 {
        "nodes take tasks with `pagi run --accept-work`; `list_known_twins` shows who has which tool"
    } else {
        "give it again with a longer --deadline, or other words; `pagi swarm tasks` lists tasks"
    }
}

/// News as one line.
fn line(news: &TaskNews) -> String {
    let clean = render::clean_line;
    match news {
        TaskNews::Offered(task) => {
            let what = if task.needs.is_empty() {
                "any node".to_owned()
            } else {
                format!("nodes with {}", clean(&task.needs.join(", ")))
            };
            let head = format!("offered to {what}");
            format!(
                "{head} {}",
                render::dim(&format!("task {}", clean(&task.id)))
            )
        }
        TaskNews::Offer { by, load, score } => format!(
            "{} {}",
            render::dim("offer of"),
            render::dim(&format!(
                "{} (fits {score} %, busy {load} %)",
                clean(&by.node)
            ))
        ),
        TaskNews::Assigned { to, attempt } => {
            let which = if *attempt > 1 {
                format!(", attempt {attempt}")
            } else {
                String::new()
            };
            format!("assigned to {}{which}", clean(&to.node))
        }
        TaskNews::Progress { percent, note, .. } => {
            let what = if note.is_empty() { "begun" } else { note };
            render::dim(&format!("{percent:>3} % {}", clean(what)))
        }
        TaskNews::AttemptFailed { node, reason } => {
            let head = render::warn("not done by");
            format!("{head} {}: {}", clean(node), clean(reason))
        }
        TaskNews::Done(_) | TaskNews::Failed(_) => String::new(),
    }
}

/// The result and who did it; the result alone with `quiet`.
fn ending(task: &SwarmTask, quiet: bool) -> String {
    let output = task.output.as_deref().map(render::clean_text);
    let Some(output) = output else {
        return render::bad("failed");
    };
    match (&task.worker, quiet) {
        (Some(worker), false) => {
            let by = render::clean_line(&worker.node);
            format!("{} by {by}\n\n{output}", render::good("done"))
        }
        _ => output,
    }
}

fn taken_back(task: &SwarmTask) -> String {
    match task.status {
        TaskStatus::Done => "it was done before; its result stays".to_owned(),
        _ => format!("the task {} is over", render::clean_line(&task.id)),
    }
}

fn list(ctx: &Context, tasks: &SwarmTasks) -> String {
    let now = OffsetDateTime::now_utc();
    let mut text = String::new();
    if tasks.asked.is_empty() && tasks.worked.is_empty() {
        return "there are no tasks".to_owned();
    }
    if !tasks.asked.is_empty() {
        let mut table = Table::new(&["ASKED", "WHEN", "STATUS", "WORKER", "GOAL"]);
        for task in &tasks.asked {
            let when = task.asked_at.as_deref();
            table.row([
                render::clean_line(&task.id),
                when.map_or_else(String::new, |when| render::ago(when, now)),
                status(task.status).to_owned(),
                task.worker
                    .as_ref()
                    .map_or_else(String::new, |worker| render::clean_line(&worker.node)),
                render::clean_line(task.reason.as_deref().unwrap_or(&task.goal)),
            ]);
        }
        text.push_str(&table.render(ctx.width));
    }
    if !tasks.worked.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        let mut table = Table::new(&["WORKED ON", "FOR", "STATUS", "GOAL"]);
        for task in &tasks.worked {
            table.row([
                render::clean_line(&task.id),
                render::clean_line(&task.asker),
                work_status(task),
                render::clean_line(of_work(task)),
            ]);
        }
        text.push_str(&table.render(ctx.width));
    }
    text
}

fn status(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Open => "open",
        TaskStatus::Assigned => "assigned",
        TaskStatus::Done => "done",
        TaskStatus::Failed => "failed",
    }
}

/// Where another's task stands: a failure that the asker noted is one.
fn work_status(task: &WorkedTask) -> String {
    match task.verdict.as_deref() {
        Some("noted") => "failed".to_owned(),
        Some(verdict) => render::clean_line(verdict),
        None => render::clean_line(&task.status),
    }
}

/// What there is to say of another's task.
fn of_work(task: &WorkedTask) -> &str {
    let known = [&task.goal, &task.output, &task.reason];
    known
        .into_iter()
        .flatten()
        .next()
        .map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, wanted) in [("90s", 90), ("10m", 600), ("24h", 86_400), ("7", 7)] {
            assert_eq!(seconds(text), Ok(wanted));
        }
        for bad in [
            "",
            "s",
            "0",
            "25h",
            "-1s",
            "10 min",
            "99999999999999999999h",
            "ä",
        ] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
