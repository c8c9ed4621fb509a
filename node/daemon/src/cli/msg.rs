//! `pagi msg`.

use clap::Subcommand;
use pagi_api::messages::{MarkRead, MarkedRead, ReceivedMessage, SendMessage, SentMessage};
use serde_json::Value;
use time::OffsetDateTime;

use super::{CliError, Context, select::TwinArg};
use crate::{
    client::encode,
    render::{self, Table},
};

/// `pagi msg …`.
#[derive(Debug, Subcommand)]
pub enum MsgCommand {
    /// Send a private message as a twin
    Send {
        /// The recipient's DID
        #[arg(value_name = "DID")]
        to: String,
        /// The text of a basic message
        #[arg(required_unless_present = "body")]
        text: Vec<String>,
        /// The message type URI
        #[arg(long = "type", value_name = "URI", requires = "body")]
        kind: Option<String>,
        /// What to say in place of a text, as the message type wants it
        #[arg(long, value_name = "JSON", conflicts_with = "text", value_parser = json_text)]
        body: Option<Value>,
        /// Post it here instead of to the recipient's node
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The thread it belongs to
        #[arg(long, value_name = "ID")]
        thread: Option<String>,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// List the messages a twin received, the newest last
    Inbox {
        /// Only those not marked as read
        #[arg(long)]
        unread: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        /// Mark what is listed as read
        #[arg(long)]
        mark_read: bool,
        #[command(flatten)]
        twin: TwinArg,
    },
}

fn json_text(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// Runs a `pagi msg` command.
pub async fn msg(command: MsgCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        MsgCommand::Send {
            to,
            text,
            kind,
            body,
            url,
            thread,
            twin,
        } => {
            let text = text.join(" ");
            if body.is_none() && text.trim().is_empty() {
                let next = "give it in quotes: pagi msg send DID \"text\"";
                return Err(CliError::usage("there is nothing to send", next).into());
            }
            let twin = twin.resolve(&client).await?;
            let request = SendMessage {
                to_did: to,
                to_url: url,
                msg_type: kind,
                body: body.unwrap_or(Value::String(text)),
                thid: thread,
            };
            let path = format!("/messages/{}", encode(&twin.twin_id));
            let sent: SentMessage = client.post(&path, &request).await?;
            ctx.show(&sent, || outcome(&sent))
        }
        MsgCommand::Inbox {
            unread,
            limit,
            mark_read,
            twin,
        } => {
            let twin = twin.resolve(&client).await?;
            let path = format!("/messages/{}", encode(&twin.twin_id));
            let query = format!("{path}?unread={unread}&limit={limit}");
            let messages: Vec<ReceivedMessage> = client.get(&query).await?;
            ctx.show(&messages, || list(ctx, &messages))?;
            if mark_read && !messages.is_empty() {
                let seqs = messages.iter().map(|message| message.seq).collect();
                let body = MarkRead { seqs };
                let _: MarkedRead = client.post(&format!("{path}/read"), &body).await?;
            }
            Ok(())
        }
    }
}

fn outcome(sent: &SentMessage) -> String {
    let line = render::clean_line;
    let head = match &sent.reason {
        None => format!("{} to {}", render::good("delivered"), line(&sent.to)),
        Some(reason) => format!(
            "{} for {}: {}\nit is tried again until {}",
            render::warn("waiting"),
            line(&sent.to),
            line(reason),
            line(&sent.expires_at)
        ),
    };
    format!(
        "{head}\n{}",
        render::dim(&format!("thread {}", line(&sent.thid)))
    )
}

fn list(ctx: &Context, messages: &[ReceivedMessage]) -> String {
    if messages.is_empty() {
        return "there are no messages".to_owned();
    }
    let now = OffsetDateTime::now_utc();
    let mut table = Table::new(&["SEQ", "", "WHEN", "FROM", "TYPE", "SAYS"]);
    for message in messages {
        table.row([
            message.seq.to_string(),
            if message.read { "" } else { "new" }.to_owned(),
            render::ago(&message.received_at, now),
            message.from.clone().unwrap_or_else(|| "anonymous".into()),
            short_type(&message.msg_type).to_owned(),
            says(&message.body),
        ]);
    }
    table.render(ctx.width)
}

/// The protocol, version and name at the end of a message type.
fn short_type(kind: &str) -> &str {
    let mut slashes = kind.rmatch_indices('/').map(|(at, _)| at);
    slashes.nth(2).map_or(kind, |at| &kind[at + 1..])
}

/// The text of a basic message, or the body as JSON.
fn says(body: &Value) -> String {
    match body.get("content").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => body.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_is_shown_in_short() {
        let kind = "https://didcomm.org/basicmessage/2.0/message";
        assert_eq!(short_type(kind), "basicmessage/2.0/message");
        assert_eq!(short_type("a/b"), "a/b");
        assert_eq!(says(&json!({"content": "hi", "x": 1})), "hi");
        assert_eq!(says(&json!({"x": 1})), "{\"x\":1}");
    }
}
