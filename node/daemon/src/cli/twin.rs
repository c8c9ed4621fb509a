//! `pagi twin`.

use clap::Subcommand;
use pagi_api::twins::{CreateTwin, Twin, TwinDid};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{
    CliError, Context,
    pairs::{self, Pair},
    select,
};
use crate::{
    client::encode,
    render::{self, Table},
};

/// `pagi twin …`.
#[derive(Debug, Subcommand)]
pub enum TwinCommand {
    /// Make a twin
    Create {
        /// A name to call it by; told to the swarm
        #[arg(long)]
        name: Option<String>,
        /// Its status [default: active]
        #[arg(long)]
        status: Option<String>,
        /// What it is for, in a few words; told to the swarm, as its name is
        #[arg(long)]
        role: Option<String>,
        /// A note about it, which stays here
        #[arg(long)]
        note: Option<String>,
        /// More of its first state, each KEY=VALUE
        #[arg(value_name = "KEY=VALUE")]
        state: Vec<Pair>,
    },
    /// List the twins of this node, whatever their state; `pagi swarm twins` lists those of others
    List,
    /// Show a twin
    Show {
        /// Its id or the first letters of it, its DID or its name [default: as for `pagi ask`]
        id: Option<String>,
    },
    /// Print a twin's DID
    Did {
        /// Its id or the first letters of it, or its name [default: as for `pagi ask`]
        id: Option<String>,
    },
    /// Change a twin's state; KEY=null takes a key away
    State {
        /// Its id or the first letters of it, its DID or its name
        id: String,
        /// What to change
        #[arg(value_name = "KEY=VALUE", required = true)]
        changes: Vec<Pair>,
    },
}

/// Runs a `pagi twin` command.
pub async fn twin(command: TwinCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        TwinCommand::Create {
            name,
            status,
            role,
            note,
            state,
        } => {
            let initial_state = first_state(name, status, role, note, &state)?;
            let twin: Twin = client.post("/twins", &CreateTwin { initial_state }).await?;
            ctx.show(&twin, || show(&twin))
        }
        TwinCommand::List => {
            let twins: Vec<Twin> = client.get("/twins").await?;
            ctx.show(&twins, || list(ctx, &twins))
        }
        TwinCommand::Show { id } => {
            let twin = select::find(&client, id.as_deref()).await?;
            let twin: Twin = client
                .get(&format!("/twins/{}", encode(&twin.twin_id)))
                .await?;
            ctx.show(&twin, || show(&twin))
        }
        TwinCommand::Did { id } => {
            let twin = select::find(&client, id.as_deref()).await?;
            let path = format!("/twins/{}/did", encode(&twin.twin_id));
            let did: TwinDid = client.get(&path).await?;
            ctx.show(&did, || render::clean_line(&did.did))
        }
        TwinCommand::State { id, changes } => {
            let changes = pairs::object(&changes, None)?;
            let twin = select::find(&client, Some(&id)).await?;
            let path = format!("/twins/{}/state", encode(&twin.twin_id));
            let twin: Twin = client.patch(&path, &changes).await?;
            ctx.show(&twin, || show(&twin))
        }
    }
}

fn first_state(
    name: Option<String>,
    status: Option<String>,
    role: Option<String>,
    note: Option<String>,
    more: &[Pair],
) -> Result<Value, CliError> {
    let mut state = Map::new();
    for (key, value) in [
        ("status", status),
        ("name", name),
        ("role", role),
        ("note", note),
    ] {
        if let Some(value) = value {
            state.insert(key.to_owned(), Value::String(value));
        }
    }
    if let Value::Object(more) = pairs::object(more, None)? {
        for (key, value) in more {
            if state.contains_key(&key) {
                let cause = format!("`{key}` is given twice");
                return Err(CliError::usage(cause, "give each key once"));
            }
            state.insert(key, value);
        }
    }
    Ok(Value::Object(state))
}

fn list(ctx: &Context, twins: &[Twin]) -> String {
    if twins.is_empty() {
        return "there are no twins yet; make one with `pagi twin create`".to_owned();
    }
    let now = OffsetDateTime::now_utc();
    let chosen = select::default_twin(twins)
        .ok()
        .map(|twin| twin.twin_id.as_str());
    let mut table = Table::new(&["", "TWIN", "STATUS", "NAME", "MADE", "NOTE"]);
    for twin in twins {
        table.row([
            if chosen == Some(&twin.twin_id) {
                "*"
            } else {
                ""
            }
            .to_owned(),
            twin.twin_id.clone(),
            state(twin).to_owned(),
            select::name(twin).to_owned(),
            render::ago(&twin.created_at, now),
            twin.state
                .get("note")
                .map(render::value)
                .unwrap_or_default(),
        ]);
    }
    let stopped = twins
        .iter()
        .filter_map(|twin| twin.stopped.as_deref())
        .collect::<std::collections::BTreeSet<_>>();
    let mut text = table.render(ctx.width);
    for why in stopped {
        text.push_str(&format!(
            "\n\n{} {}\n{}",
            render::bad("STOPPED:"),
            render::clean_line(why),
            render::dim("`pagi resume --twin TWIN` lets one go on, `pagi resume` all")
        ));
    }
    text
}

/// What a twin's state is, with what a stop makes of it.
fn state(twin: &Twin) -> &str {
    if twin.stopped.is_some() {
        "STOPPED"
    } else {
        select::status(twin)
    }
}

fn show(twin: &Twin) -> String {
    let now = OffsetDateTime::now_utc();
    let mut pairs = vec![
        ("twin", render::bold(&render::clean_line(&twin.twin_id))),
        ("did", render::clean_line(&twin.did)),
        ("made", render::ago(&twin.created_at, now)),
        ("changed", render::ago(&twin.updated_at, now)),
    ];
    if let Some(why) = &twin.stopped {
        pairs.push(("STOPPED", render::bad(&render::clean_line(why))));
    }
    let state: Vec<(String, String)> = match &twin.state {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (render::clean_line(key), render::value(value)))
            .collect(),
        other => vec![("state".to_owned(), render::value(other))],
    };
    pairs.extend(
        state
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone())),
    );
    render::fields(&pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_state_holds_what_was_given_and_nothing_else() {
        assert_eq!(first_state(None, None, None, None, &[]).unwrap(), json!({}));
        let more = ["rank=3".parse().unwrap()];
        let of = |text: &str| Some(text.to_owned());
        let state = first_state(of("Ada"), of("active"), of("counts"), None, &more).unwrap();
        assert_eq!(
            state,
            json!({ "status": "active", "name": "Ada", "role": "counts", "rank": 3 })
        );
        let twice = ["note=x".parse().unwrap()];
        assert_eq!(
            first_state(None, None, None, Some("y".into()), &twice)
                .unwrap_err()
                .code,
            2
        );
    }
}
