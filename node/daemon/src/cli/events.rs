//! `pagi events` and `pagi audit`.

use clap::Args;
use pagi_api::{LoggedEvent, swarm::AuditEntry};
use pagi_messages::EventType;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{CliError, Context, names::Names, select::OptionalTwinArg};
use crate::{
    client::{Client, encode, event_data},
    render::{self, Table},
};

/// Entries asked for at a time while looking for the newest.
const PAGE: usize = 500;

/// `pagi events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Go on showing events as they happen; with --json one document per line
    #[arg(long, short)]
    follow: bool,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<EventType>,
    /// Only events from this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Begin after this place in the log [default: the newest events]
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// At most so many events
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        conflicts_with = "follow"
    )]
    limit: usize,
    #[command(flatten)]
    twin: OptionalTwinArg,
}

/// `pagi audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Begin after this place in the log [default: the newest entries]
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// At most so many entries
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// A page of the event log.
#[derive(Debug, Deserialize)]
struct EventPage {
    events: Vec<LoggedEvent>,
}

/// Shows or follows the event log.
pub async fn events(args: EventsArgs, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let twin_id = args.twin.resolve(&client).await?;
    let mut filter = String::new();
    let parts = [
        (
            "event_type",
            args.event_type.map(|kind| kind.as_str().to_owned()),
        ),
        ("twin_id", twin_id),
        ("source", args.source.clone()),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            filter.push_str(&format!("&{name}={}", encode(&value)));
        }
    }
    if args.follow {
        return follow(&client, &filter, args.after, ctx).await;
    }
    let events = read_log(
        args.after,
        args.limit,
        |event: &LoggedEvent| event.seq,
        async |after, limit| {
            let path = format!("/events/log?after={after}&limit={limit}{filter}");
            Ok(client.get::<EventPage>(&path).await?.events)
        },
    )
    .await?;
    ctx.show(&events, || {
        if events.is_empty() {
            return "there are no such events".to_owned();
        }
        let now = OffsetDateTime::now_utc();
        let mut table = Table::new(&["SEQ", "TIME", "TYPE", "TWIN", "SOURCE", "ABOUT"]);
        for event in &events {
            table.row(cells(event, now));
        }
        table.render(ctx.width)
    })
}

async fn follow(
    client: &Client,
    filter: &str,
    after: Option<u64>,
    ctx: &Context,
) -> anyhow::Result<()> {
    let query = filter
        .strip_prefix('&')
        .map(|rest| format!("?{rest}"))
        .unwrap_or_default();
    let mut stream = client.follow(format!("/events{query}"), after.map(|seq| seq.to_string()));
    loop {
        let event = stream
            .next(|| ctx.note(&render::dim("the connection was lost; connecting again …")))
            .await?;
        let event: LoggedEvent = event_data(&event)?;
        if ctx.json {
            ctx.print(&serde_json::to_string(&event)?)?;
        } else {
            let [seq, time, kind, twin, source, about] = cells(&event, OffsetDateTime::now_utc());
            let line = render::clean_line;
            let text = format!(
                "{seq:>6}  {time}  {:<24}  {:<8}  {:<10}  {}",
                kind,
                line(&twin),
                line(&source),
                line(&about),
            );
            ctx.print(
                &ctx.width
                    .map_or_else(|| text.clone(), |width| render::fit(&text, width)),
            )?;
        }
    }
}

/// What a line about an event shows.
fn cells(event: &LoggedEvent, now: OffsetDateTime) -> [String; 6] {
    let LoggedEvent { seq, event } = event;
    let mut about: Vec<String> = event.subject.iter().cloned().collect();
    let empty = event.payload.is_null() || event.payload == serde_json::json!({});
    if !empty {
        about.push(render::brief(&event.payload));
    }
    [
        seq.to_string(),
        render::moment(&event.ts, now),
        event.event_type.as_str().to_owned(),
        event
            .twin_id
            .as_deref()
            .unwrap_or_default()
            .chars()
            .take(8)
            .collect(),
        event.source.clone(),
        about.join(" "),
    ]
}

/// Shows the audit log.
pub async fn audit(args: AuditArgs, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let entries = read_log(
        args.after,
        args.limit,
        |entry: &AuditEntry| entry.seq,
        async |after, limit| {
            client
                .get(&format!("/audit?after={after}&limit={limit}"))
                .await
        },
    )
    .await?;
    let names = if ctx.json {
        Names::default()
    } else {
        Names::ask(&client).await
    };
    ctx.show(&entries, || {
        if entries.is_empty() {
            return "nothing was audited yet".to_owned();
        }
        let now = OffsetDateTime::now_utc();
        let mut table = Table::new(&["SEQ", "TIME", "WHO", "VERDICT", "WHAT", "DETAIL"]);
        for entry in &entries {
            let subject = entry.subject.as_deref().unwrap_or_default();
            let action = entry.action.replace('_', " ");
            table.row([
                entry.seq.to_string(),
                render::moment(&entry.ts, now),
                names.of(&entry.actor),
                entry.verdict.clone(),
                format!("{action} {}", names.of(subject)),
                render::brief(&entry.detail),
            ]);
        }
        table.render(ctx.width)
    })
}

/// At most `limit` entries of a log that the node serves in pages, oldest first: the first ones
/// after `after`, or without it the newest.
///
/// `page` gives the entries after a place, at most so many; `seq` gives an entry's place.
async fn read_log<T>(
    after: Option<u64>,
    limit: usize,
    seq: impl Fn(&T) -> u64,
    page: impl AsyncFn(u64, usize) -> Result<Vec<T>, CliError>,
) -> Result<Vec<T>, CliError> {
    let mut kept: Vec<T> = Vec::new();
    let mut place = after.unwrap_or(0);
    loop {
        let ask = match after {
            Some(_) => (limit - kept.len()).min(PAGE),
            None => PAGE,
        };
        if ask == 0 || limit == 0 {
            return Ok(kept);
        }
        let found = page(place, ask).await?;
        // The node may give fewer than asked for at any time; only an empty page is the end.
        let Some(last) = found.last().map(&seq).filter(|last| *last > place) else {
            return Ok(kept);
        };
        place = last;
        kept.extend(found);
        if after.is_some() {
            kept.truncate(limit);
        } else if kept.len() > limit {
            kept.drain(..kept.len() - limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagi_messages::Event;
    use serde_json::json;

    #[test]
    fn a_line_names_subject_and_payload() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let event: Event = serde_json::from_value(json!({
            "id": "00000000-0000-0000-0000-000000000000", "event_type": "tool_executed",
            "ts": "1970-01-01T00:00:09Z", "twin_id": "0123456789ab", "subject": "calculator",
            "source": "executive", "payload": { "ok": true },
        }))
        .unwrap();
        let got = cells(&LoggedEvent { seq: 4, event }, now);
        let expected = [
            "4",
            "00:00:09Z",
            "tool_executed",
            "01234567",
            "executive",
            "calculator ok",
        ];
        assert_eq!(got, expected);
    }

    #[tokio::test]
    async fn a_log_is_read_from_a_place_or_from_its_end() {
        // A node that gives short pages, and only every third entry.
        let log: Vec<u64> = (1..=1000).filter(|seq| seq % 3 == 0).collect();
        let read = async |after, limit| {
            read_log(
                after,
                limit,
                |seq: &u64| *seq,
                async |after, limit: usize| {
                    let later = log.iter().copied().filter(|seq| *seq > after);
                    Ok(later.take(limit.min(7)).collect())
                },
            )
            .await
            .unwrap()
        };
        assert_eq!(read(None, 3).await, [993, 996, 999]);
        assert_eq!(read(Some(0), 3).await, [3, 6, 9]);
        assert_eq!(read(Some(990), 50).await, [993, 996, 999]);
        assert_eq!(read(Some(999), 5).await, [0; 0]);
        assert_eq!(read(None, 5000).await, log);
        assert_eq!(read(None, 0).await, [0; 0]);
    }
}
