//! Terminal output: tables, step lines, times, and text made safe to print.
//!
//! Everything here makes strings. Colours are in them as ANSI codes; the writer takes them out
//! again where stdout is no terminal or `NO_COLOR` is set. Text that came from elsewhere (tools,
//! models, peers) goes through [`clean_line`] or [`clean_text`] first, so that it cannot drive the
//! terminal.

use anstyle::{AnsiColor, Style};
use pagi_api::goal::{Step, StepKind, StepStatus};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use unicode_width::UnicodeWidthStr;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

fn styled(style: Style, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{style}{text}{style:#}")
    }
}

/// Bold.
pub fn bold(text: &str) -> String {
    styled(BOLD, text)
}

/// Less bright.
pub fn dim(text: &str) -> String {
    styled(DIM, text)
}

/// For what went well.
pub fn good(text: &str) -> String {
    styled(GOOD, text)
}

/// For what needs a look.
pub fn warn(text: &str) -> String {
    styled(WARN, text)
}

/// For what failed.
pub fn bad(text: &str) -> String {
    styled(BAD, text)
}

/// Whether a terminal would act on `c` or reorder the text around it.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` on one line without control characters; runs of white space become one space.
pub fn clean_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            if !out.is_empty() {
                out.push(' ');
            }
            out.extend(word.chars().filter(|c| !is_unsafe(*c)));
        }
    }
    out
}

/// `text` with its line ends and tabs, without any other control character.
pub fn clean_text(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\n' | '\t') || !is_unsafe(*c))
        .collect()
}

/// Columns `text` takes.
fn columns(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `text` in at most `max` columns, its end replaced by `…` where it is longer.
pub fn fit(text: &str, max: usize) -> String {
    if columns(text) <= max {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        // Measured as a whole: a character can change the width of the one before it.
        if columns(&out) + 1 > max {
            out.pop();
            break;
        }
    }
    if max > 0 {
        out.push('…');
    }
    out
}

fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(columns(text))))
}

/// A table; the last column takes what room is left.
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; its cells are cleaned.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.iter().map(|cell| clean_line(cell)).collect());
    }

    /// The table as text, the last column cut to `width` columns in all if there is a width.
    pub fn render(&self, width: Option<usize>) -> String {
        let head: Vec<String> = self.head.iter().map(|name| (*name).to_owned()).collect();
        let last = head.len().saturating_sub(1);
        let widths: Vec<usize> = (0..last)
            .map(|at| {
                let cells = std::iter::once(&head).chain(&self.rows);
                cells
                    .filter_map(|row| row.get(at))
                    .map(|cell| columns(cell))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let used: usize = widths.iter().map(|width| width + 2).sum();
        // A cell cut to a few letters says nothing; then the line may rather wrap.
        let room = width
            .map(|width| width.saturating_sub(used))
            .filter(|room| *room >= 12);
        let line = |row: &[String]| {
            let mut out = String::new();
            for (at, cell) in row.iter().enumerate() {
                match widths.get(at) {
                    Some(width) => out.push_str(&pad(cell, width + 2)),
                    None => {
                        out.push_str(&room.map_or_else(|| cell.clone(), |room| fit(cell, room)))
                    }
                }
            }
            out.trim_end().to_owned()
        };
        let mut lines = vec![dim(&line(&head))];
        lines.extend(self.rows.iter().map(|row| line(row)));
        lines.join("\n")
    }
}

/// Names and values below each other, the values aligned; a value may have several lines.
pub fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs
        .iter()
        .map(|(name, _)| columns(name))
        .max()
        .unwrap_or(0)
        + 2;
    let mut lines = Vec::new();
    for (name, value) in pairs {
        for (at, part) in value.split('\n').enumerate() {
            let name = if at == 0 {
                pad(name, width)
            } else {
                " ".repeat(width)
            };
            lines.push(format!("{}{part}", dim(&name)));
        }
    }
    lines.join("\n")
}

/// The name of a kind of step.
pub const fn kind(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Ethics => "ethics",
        StepKind::Playbook => "playbook",
        StepKind::Context => "context",
        StepKind::Inference => "inference",
        StepKind::Plan => "plan",
        StepKind::Tool => "tool",
        StepKind::Answer => "answer",
        StepKind::Reflection => "reflection",
        StepKind::Artifact => "artifact",
    }
}

/// One step of a goal on one line, cut to `width` columns if there is a width.
pub fn step_line(step: &Step, width: Option<usize>) -> String {
    let name = clean_line(&step.name);
    let name = width.map_or_else(|| name.clone(), |_| fit(&name, 24));
    let lead = format!(
        "{:>3} {} {} {:>9}  ",
        step.index,
        pad(kind(step.kind), 11),
        pad(&name, 24),
        millis(step.duration_ms),
    );
    let (mark, paint): (&str, fn(&str) -> String) = match step.status {
        StepStatus::Ok => ("", str::to_owned),
        StepStatus::Failed => ("failed: ", bad),
        StepStatus::Refused => ("refused: ", warn),
        StepStatus::Skipped => ("skipped: ", dim),
    };
    let detail = format!("{mark}{}", clean_line(&step.detail));
    let room = width
        .map(|width| width.saturating_sub(columns(&lead)))
        .filter(|room| *room >= 12);
    let detail = room.map_or_else(|| detail.clone(), |room| fit(&detail, room));
    format!("{lead}{}", paint(&detail)).trim_end().to_owned()
}

/// `n` of something, `what` being its name for one.
pub fn count(n: usize, what: &str) -> String {
    match (n, what.strip_suffix('s')) {
        (1, _) => format!("1 {what}"),
        (_, Some(_)) => format!("{n} {what}es"),
        (_, None) => format!("{n} {what}s"),
    }
}

/// A duration in milliseconds, in words.
pub fn millis(ms: u64) -> String {
    if ms < 60_000 {
        return format!("{}.{:02} s", ms / 1000, ms % 1000 / 10);
    }
    seconds(ms / 1000)
}

/// A duration in seconds, in words with its two largest units.
pub fn seconds(s: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = s;
    let mut parts = Vec::new();
    for (at, (size, name)) in UNITS.iter().enumerate() {
        if rest >= *size || (at + 1 == UNITS.len() && parts.is_empty()) {
            parts.push(format!("{} {name}", rest / size));
            rest %= size;
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

/// How long before `now` the RFC 3339 time `ts` was; `ts` itself if it cannot be read.
pub fn ago(ts: &str, now: OffsetDateTime) -> String {
    let Ok(then) = OffsetDateTime::parse(ts, &Rfc3339) else {
        return clean_line(ts);
    };
    match u64::try_from((now - then).whole_seconds()) {
        Ok(0..5) => "just now".to_owned(),
        Ok(past) => format!("{} ago", seconds(past)),
        Err(_) => moment(ts, now),
    }
}

/// When the RFC 3339 time `ts` is, in UTC to the minute, and how far that is from `now`.
pub fn until(ts: &str, now: OffsetDateTime) -> String {
    let Ok(then) = OffsetDateTime::parse(ts, &Rfc3339) else {
        return clean_line(ts);
    };
    let then = then.to_offset(time::UtcOffset::UTC);
    let (hour, minute, _) = then.to_hms();
    let left = (then - now).whole_seconds();
    let how_far = match u64::try_from(left) {
        // "in 6 d 23 h" is how a week looks a second later.
        Ok(left) => format!("in {}", seconds(left + 30)),
        Err(_) => format!("{} ago", seconds(left.unsigned_abs())),
    };
    format!("{} {hour:02}:{minute:02} UTC, {how_far}", then.date())
}

/// A DID in few columns: its method and the ends of its key.
pub fn short_did(did: &str) -> String {
    let did = clean_line(did);
    let Some(key) = did
        .strip_prefix("did:key:")
        .filter(|key| key.is_ascii() && key.len() > 16)
    else {
        return did;
    };
    format!("did:key:{}…{}", &key[..6], &key[key.len() - 6..])
}

/// A JSON value as a short text for a person: the members of an object as `name: value`, without those
/// that are empty.
pub fn brief(value: &serde_json::Value) -> String {
    let serde_json::Value::Object(members) = value else {
        return self::value(value);
    };
    let empty = |value: &serde_json::Value| match value {
        serde_json::Value::Null => true,
        serde_json::Value::String(text) => text.is_empty(),
        serde_json::Value::Array(items) => items.is_empty(),
        serde_json::Value::Object(members) => members.is_empty(),
        _ => false,
    };
    let parts: Vec<String> = members
        .iter()
        .filter(|(_, value)| !empty(value))
        .map(|(name, value)| {
            let name = clean_line(&name.replace('_', " "));
            match value {
                serde_json::Value::Bool(true) => name,
                serde_json::Value::Bool(false) => format!("not {name}"),
                serde_json::Value::String(text) if text.starts_with("did:") => {
                    format!("{name}: {}", short_did(text))
                }
                other => format!("{name}: {}", self::value(other)),
            }
        })
        .collect();
    parts.join(", ")
}

/// The RFC 3339 time `ts` in UTC: the time of day, with the date if that is not the day of `now`.
pub fn moment(ts: &str, now: OffsetDateTime) -> String {
    let Ok(then) = OffsetDateTime::parse(ts, &Rfc3339) else {
        return clean_line(ts);
    };
    let then = then.to_offset(time::UtcOffset::UTC);
    let (hour, minute, second) = then.to_hms();
    let clock = format!("{hour:02}:{minute:02}:{second:02}Z");
    if then.date() == now.to_offset(time::UtcOffset::UTC).date() {
        clock
    } else {
        format!("{} {clock}", then.date())
    }
}

/// A JSON value on one line for a person: strings without quotes, nothing for null.
pub fn value(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => clean_line(text),
        other => clean_line(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn step(status: StepStatus, detail: &str) -> Step {
        Step {
            index: 3,
            kind: StepKind::Tool,
            name: "system_monitor".into(),
            status,
            detail: detail.into(),
            input: Value::Null,
            output: Value::Null,
            duration_ms: 214,
        }
    }

    #[test]
    fn a_step_is_one_aligned_line() {
        let line = plain(&step_line(
            &step(StepStatus::Ok, "cpu 12 %,\nmemory 4 %"),
            None,
        ));
        assert_eq!(
            line,
            "  3 tool        system_monitor              0.21 s  cpu 12 %, memory 4 %"
        );
        let failed = plain(&step_line(&step(StepStatus::Failed, "no answer"), None));
        assert!(failed.ends_with("failed: no answer"), "{failed}");
        let narrow = plain(&step_line(
            &step(StepStatus::Ok, &"x".repeat(200)),
            Some(80),
        ));
        assert_eq!(columns(&narrow), 80);
        assert!(narrow.ends_with('…'));
    }

    #[test]
    fn a_table_aligns_and_cuts_only_its_last_column() {
        let mut table = Table::new(&["ID", "NOTE"]);
        table.row(["größe".into(), "a\nb".into()]);
        table.row(["x".into(), "long text without an end".into()]);
        let wide = plain(&table.render(None));
        assert_eq!(
            wide,
            "ID     NOTE\ngröße  a b\nx      long text without an end"
        );
        let cut = plain(&table.render(Some(20)));
        assert_eq!(cut.lines().nth(2).unwrap(), "x      long text wi…");
        let wrapped = plain(&table.render(Some(10)));
        assert!(wrapped.contains("without an end"));
    }

    #[test]
    fn durations_in_words() {
        let cases = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3600, "1 h"),
        ];
        for (input, expected) in cases {
            assert_eq!(seconds(input), expected);
        }
        assert_eq!(seconds(3_661), "1 h 1 min");
        assert_eq!(seconds(86_400 + 59), "1 d");
        assert_eq!(millis(214), "0.21 s");
        assert_eq!(millis(65_000), "1 min 5 s");
    }

    #[test]
    fn counts_in_words() {
        assert_eq!(count(1, "address"), "1 address");
        assert_eq!(count(0, "address"), "0 addresses");
        assert_eq!(count(2, "twin"), "2 twins");
    }

    #[test]
    fn times_in_words() {
        let now = OffsetDateTime::parse("2026-02-03T04:05:06Z", &Rfc3339).unwrap();
        assert_eq!(ago("2026-02-03T04:02:06Z", now), "3 min ago");
        assert_eq!(ago("2026-02-03T04:05:06.5Z", now), "just now");
        assert_eq!(ago("2026-02-03T05:05:06Z", now), "05:05:06Z");
        assert_eq!(moment("2026-02-03T05:05:06+01:00", now), "04:05:06Z");
        assert_eq!(moment("2026-02-02T05:05:06Z", now), "2026-02-02 05:05:06Z");
        assert_eq!(ago("soon\u{7}", now), "soon");
        assert_eq!(
            until("2026-02-10T04:05:05Z", now),
            "2026-02-10 04:05 UTC, in 7 d"
        );
        assert_eq!(
            until("2026-02-03T04:03:06Z", now),
            "2026-02-03 04:03 UTC, 2 min ago"
        );
    }

    #[test]
    fn dids_and_objects_are_cut_to_what_a_person_reads() {
        let did = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH";
        assert_eq!(short_did(did), "did:key:z6MkpT…sdvktH");
        assert_eq!(short_did("did:web:example.org"), "did:web:example.org");
        assert_eq!(short_did("user"), "user");
        let value = serde_json::json!({"ok": true, "told": false, "error": null, "max_uses": 3,
                                       "by": did, "reason": ""});
        assert_eq!(
            brief(&value),
            "ok, not told, max uses: 3, by: did:key:z6MkpT…sdvktH"
        );
        assert_eq!(brief(&serde_json::json!("a\nb")), "a b");
    }

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(clean_line("a\u{1b}[2Jb\r\n\u{202e}c "), "a [2Jb c");
        assert_eq!(clean_text("a\u{1b}[2J\n\tb\u{9b}"), "a[2J\n\tb");
    }

    proptest! {
        #[test]
        fn fit_keeps_to_its_room(text in "\\PC{0,40}", max in 0usize..30) {
            prop_assert!(columns(&fit(&text, max)) <= max);
        }

        #[test]
        fn cleaned_text_holds_no_control_character(text in any::<String>()) {
            prop_assert!(!clean_line(&text).chars().any(is_unsafe));
        }
    }
}
