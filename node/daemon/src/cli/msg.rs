//! `pagi msg`.

use std::time::Duration;

use clap::Subcommand;
use pagi_api::{
    LoggedEvent,
    messages::{
        ChangeContacts, Contacts, MarkRead, MarkedRead, ReceivedMessage, SendMessage, SentMessage,
    },
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{CliError, Context, select::TwinArg};
use crate::{
    client::{Client, encode, event_data},
    render::{self, Table},
};

/// What a research question is sent as.
const PROPOSE: &str = "urn:pagi:coordinate-research/1.0/propose";
/// What says that it is being worked on.
const ACCEPT: &str = "urn:pagi:coordinate-research/1.0/accept";

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
        /// Attach what has this CID, such as `pagi ipfs add` prints; may be given several times
        #[arg(long = "attach", value_name = "CID")]
        attachments: Vec<String>,
        /// Wait so many seconds for an answer in the thread, and show it
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Ask another twin a research question, and wait for what it finds
    Ask {
        /// The twin's DID; it must allow you (`pagi msg allow` there)
        #[arg(value_name = "DID")]
        to: String,
        /// The question
        #[arg(required = true)]
        question: Vec<String>,
        /// Seconds until the answer is wanted
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Answer a message of the inbox, in its thread
    Reply {
        /// Its SEQ in `pagi msg inbox`
        seq: u64,
        /// The text
        #[arg(required = true)]
        text: Vec<String>,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Show messages as they come; with --json one document per line
    Watch {
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Take no more messages of a DID
    Block {
        /// The DID
        did: String,
        /// Take them again
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Answer research questions of a DID
    Allow {
        /// The DID
        did: String,
        /// Answer them no longer
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Show who is blocked, who may ask, and whom the twin has written to
    Contacts {
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
            attachments,
            wait,
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
                attachments,
                wait_s: None,
            };
            let sent = exchange(&client, &twin.twin_id, &request, wait.unwrap_or(0), ctx).await?;
            ctx.show(&sent, || outcome(&sent))
        }
        MsgCommand::Ask {
            to,
            question,
            wait,
            twin,
        } => {
            let twin = twin.resolve(&client).await?;
            let deadline = OffsetDateTime::now_utc().unix_timestamp() + wait as i64;
            let request = SendMessage {
                to_did: to,
                msg_type: Some(PROPOSE.to_owned()),
                body: json!({"question": question.join(" "), "deadline": deadline}),
                ..SendMessage::default()
            };
            let sent = exchange(&client, &twin.twin_id, &request, wait, ctx).await?;
            ctx.show(&sent, || outcome(&sent))?;
            if sent.reply.is_none() {
                let next = match sent.status.as_str() {
                    "delivered" => {
                        "look into `pagi msg inbox` later, or wait longer with --wait; it answers \
                         whom its user allows (`pagi msg allow` there)"
                    }
                    _ => {
                        "ask again when it is back: `pagi swarm twins` shows who can be reached; \
                         its time to answer is over by then"
                    }
                };
                return Err(CliError::after_output(
                    format!("no answer came in {}", render::seconds(wait)),
                    next,
                )
                .into());
            }
            Ok(())
        }
        MsgCommand::Reply { seq, text, twin } => {
            let twin = twin.resolve(&client).await?;
            let path = format!("/messages/{}", encode(&twin.twin_id));
            let inbox: Vec<ReceivedMessage> = client.get(&format!("{path}?limit=1000")).await?;
            let message = inbox.into_iter().find(|message| message.seq == seq);
            let message = message.ok_or_else(|| {
                CliError::new(
                    format!("there is no message {seq} in the inbox"),
                    "`pagi msg inbox` shows the messages there are",
                )
            })?;
            let to_did = message.from.ok_or_else(|| {
                CliError::new(
                    "the message is anonymous: nobody can be answered",
                    "`pagi msg inbox` shows who wrote",
                )
            })?;
            let request = SendMessage {
                to_did,
                body: Value::String(text.join(" ")),
                thid: Some(message.thid),
                ..SendMessage::default()
            };
            let sent: SentMessage = client.post(&path, &request).await?;
            let body = MarkRead { seqs: vec![seq] };
            let _: MarkedRead = client.post(&format!("{path}/read"), &body).await?;
            ctx.show(&sent, || outcome(&sent))
        }
        MsgCommand::Watch { twin } => {
            let twin = twin.resolve(&client).await?;
            watch(&client, &twin.twin_id, ctx).await
        }
        MsgCommand::Block { did, undo, twin } => {
            let change = ChangeContacts {
                block: if undo { vec![] } else { vec![did.clone()] },
                unblock: if undo { vec![did] } else { vec![] },
                ..ChangeContacts::default()
            };
            change_contacts(&client, &twin, change, ctx).await
        }
        MsgCommand::Allow { did, undo, twin } => {
            let change = ChangeContacts {
                allow: if undo { vec![] } else { vec![did.clone()] },
                disallow: if undo { vec![did] } else { vec![] },
                ..ChangeContacts::default()
            };
            change_contacts(&client, &twin, change, ctx).await
        }
        MsgCommand::Contacts { twin } => {
            let twin = twin.resolve(&client).await?;
            let path = format!("/contacts/{}", encode(&twin.twin_id));
            let contacts: Contacts = client.get(&path).await?;
            ctx.show(&contacts, || listed(&contacts))
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

/// Sends a message and, with `wait`, waits so many seconds for its answer; says meanwhile how far it
/// is.
async fn exchange(
    client: &Client,
    twin_id: &str,
    request: &SendMessage,
    wait: u64,
    ctx: &Context,
) -> anyhow::Result<SentMessage> {
    let tell = |text: &str| {
        if !ctx.json {
            ctx.note(&render::dim(text));
        }
    };
    let to = render::clean_line(&request.to_did);
    if wait > 0 {
        tell(&format!("sending to {to} …"));
    }
    let path = format!("/messages/{}", encode(twin_id));
    let mut sent: SentMessage = client.post(&path, request).await?;
    if wait == 0 {
        return Ok(sent);
    }
    tell(&progress(&sent, wait));
    let time = Duration::from_secs(wait);
    if let Ok(reply) = tokio::time::timeout(time, answer(client, twin_id, &sent, tell)).await {
        sent.reply = Some(reply?);
    }
    Ok(sent)
}

/// How far a message is whose answer is waited for.
fn progress(sent: &SentMessage, wait: u64) -> String {
    let reason = render::clean_line(sent.reason.as_deref().unwrap_or_default());
    let far = match sent.status.as_str() {
        "delivered" => "delivered".to_owned(),
        "held" => format!("kept in a mailbox until it is back ({reason})"),
        _ => format!("not delivered yet, and tried again ({reason})"),
    };
    format!(
        "{far}; waiting for the answer, up to {} …",
        render::seconds(wait)
    )
}

/// Waits for the answer to a message, for as long as that takes.
async fn answer(
    client: &Client,
    twin_id: &str,
    sent: &SentMessage,
    tell: impl Fn(&str),
) -> anyhow::Result<ReceivedMessage> {
    let id = encode(twin_id);
    let events = format!("/events?event_type=didcomm_received&twin_id={id}");
    let mut stream = client.follow(events, Some(sent.after.to_string()));
    loop {
        let event = stream
            .next(|| tell("the connection was lost; connecting again …"))
            .await?;
        let event: LoggedEvent = event_data(&event)?;
        let said = &event.event.payload;
        let of_thread = said["thid"] == sent.thid || said["pthid"] == sent.thid;
        if !of_thread || said["from"] != sent.to || said["id"] == sent.id {
            continue;
        }
        // That a question was accepted is no answer to it yet.
        if said["msg_type"] == ACCEPT {
            tell("accepted; it works on the answer …");
            continue;
        }
        let inbox: Vec<ReceivedMessage> = client.get(&format!("/messages/{id}?limit=200")).await?;
        let found = inbox.into_iter().rev().find(|message| {
            said["id"] == message.id && message.from.as_deref() == Some(sent.to.as_str())
        });
        if let Some(message) = found {
            return Ok(message);
        }
    }
}

async fn change_contacts(
    client: &Client,
    twin: &TwinArg,
    change: ChangeContacts,
    ctx: &Context,
) -> anyhow::Result<()> {
    let twin = twin.resolve(client).await?;
    let path = format!("/contacts/{}", encode(&twin.twin_id));
    let contacts: Contacts = client.patch(&path, &change).await?;
    ctx.show(&contacts, || listed(&contacts))
}

fn listed(contacts: &Contacts) -> String {
    let lines = |list: &[String]| {
        if list.is_empty() {
            return "nobody".to_owned();
        }
        let lines: Vec<String> = list.iter().map(|did| render::clean_line(did)).collect();
        lines.join("\n")
    };
    render::fields(&[
        ("blocked", lines(&contacts.blocked)),
        ("may ask", lines(&contacts.research)),
        ("known", lines(&contacts.known)),
    ])
}

/// Shows messages as they come, and never ends of itself.
async fn watch(client: &Client, twin_id: &str, ctx: &Context) -> anyhow::Result<()> {
    let id = encode(twin_id);
    let events = format!("/events?event_type=didcomm_received&twin_id={id}");
    let mut stream = client.follow(events, None);
    let mut last = 0;
    let inbox = format!("/messages/{id}?limit=200");
    let seen: Vec<ReceivedMessage> = client.get(&inbox).await?;
    last = seen.iter().map(|message| message.seq).fold(last, u64::max);
    loop {
        stream
            .next(|| ctx.note(&render::dim("the connection was lost; connecting again …")))
            .await?;
        let messages: Vec<ReceivedMessage> = client.get(&inbox).await?;
        for message in messages.iter().filter(|message| message.seq > last) {
            if ctx.json {
                ctx.print(&serde_json::to_string(message)?)?;
            } else {
                let from = message.from.as_deref().unwrap_or("anonymous");
                ctx.print(&render::clean_text(&format!(
                    "{} {from} ({}): {}",
                    message.seq,
                    short_type(&message.msg_type),
                    says(&message.body)
                )))?;
            }
        }
        last = messages
            .iter()
            .map(|message| message.seq)
            .fold(last, u64::max);
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
            render::until(&sent.expires_at, OffsetDateTime::now_utc())
        ),
    };
    if let Some(reply) = &sent.reply {
        let from = reply.from.as_deref().unwrap_or("anonymous");
        return render::clean_text(&format!(
            "{} ({}): {}",
            from,
            short_type(&reply.msg_type),
            says(&reply.body)
        ));
    }
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
            format!("{}{}", says(&message.body), with(&message.attachments)),
        ]);
    }
    table.render(ctx.width)
}

/// Where attached things are, as far as they are fetched.
fn with(attachments: &[Value]) -> String {
    let links = attachments
        .iter()
        .map(|one| match &one["data"]["links"][0] {
            Value::String(link) => link.as_str(),
            _ => "within the message",
        });
    links.map(|link| format!(" [attached: {link}]")).collect()
}

/// The protocol, version and name at the end of a message type.
fn short_type(kind: &str) -> &str {
    let mut slashes = kind.rmatch_indices('/').map(|(at, _)| at);
    slashes.nth(2).map_or(kind, |at| &kind[at + 1..])
}

/// The text of a basic message, or the body as JSON.
fn says(body: &Value) -> String {
    let text = ["content", "summary", "reason", "comment", "question"]
        .into_iter()
        .find_map(|member| body.get(member).and_then(Value::as_str));
    match text {
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

    #[test]
    fn who_waits_for_an_answer_is_told_how_far_the_question_is() {
        let sent = |status: &str, reason: Option<&str>| {
            serde_json::from_value::<SentMessage>(json!({
                "id": "1", "thid": "1", "from": "did:key:a", "to": "did:key:b", "msg_type": PROPOSE,
                "status": status, "reason": reason, "expires_at": "2026-01-01T00:00:00Z",
            }))
            .unwrap()
        };
        for (sent, wanted) in [
            (
                sent("delivered", None),
                "delivered; waiting for the answer, up to 1 min …",
            ),
            (
                sent("held", Some("N holds it")),
                "kept in a mailbox until it is back (N holds it); ",
            ),
            (
                sent("queued", Some("no node")),
                "not delivered yet, and tried again (no node); ",
            ),
        ] {
            assert!(progress(&sent, 60).starts_with(wanted), "{wanted}");
        }
    }
}
