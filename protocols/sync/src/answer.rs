//! The side that is asked. It keeps nothing between requests and does a bounded amount of work for
//! each.

use std::collections::BTreeSet;

use pagi_messages::Did;
use serde_bytes::ByteBuf;

use crate::{
    index::{Index, Stamp},
    wire::{
        Holding, MAX_AUTHORS, MAX_FETCHED, MAX_FETCHED_BYTES, MAX_LISTED, MAX_LISTED_TOTAL,
        MAX_RANGES, PARTS, Part, Request, Response, Span, Summary,
    },
};

/// Answers a request. `read` gives the bytes of a message in the log; what it does not have is left
/// out.
pub fn answer(
    index: &Index,
    request: &Request,
    read: impl FnMut(&Did, &Stamp) -> Option<Vec<u8>>,
) -> Response {
    match request {
        Request::Compare {
            to, horizon, has, ..
        } => compare(index, *to, *horizon, has),
        Request::Expand { spans } => expand(index, spans),
        Request::Fetch { wanted } => {
            let keys = wanted
                .iter()
                .flat_map(|wanted| wanted.stamps.iter().map(|stamp| (&wanted.author, stamp)));
            fetch(index, keys, read)
        }
    }
}

fn compare(index: &Index, to: u64, horizon: u64, has: &[Summary]) -> Response {
    let mut parts = Vec::new();
    let mut differs = |author: &Did, after: u64, theirs| {
        let from = after
            .max(index.floor(author))
            .max(horizon)
            .saturating_add(1);
        let ours = index.fingerprint(author, from..to);
        // Where their floor is below ours, theirs covers more than ours can: they look for
        // themselves whether that is all the difference.
        if ours.count > 0 && Some(ours) != theirs {
            parts.push(Part {
                span: Span {
                    author: author.clone(),
                    from,
                    to,
                },
                has: Holding::Print(ours),
            });
        }
    };
    let mut named = BTreeSet::new();
    for summary in has.iter().take(MAX_AUTHORS) {
        if named.insert(&summary.author) {
            differs(&summary.author, summary.floor, Some(summary.has));
        }
    }
    let others = index
        .authors
        .keys()
        .filter(|author| !named.contains(author));
    for author in others {
        differs(author, 0, None);
    }
    Response::Parts { parts }
}

fn expand(index: &Index, spans: &[Span]) -> Response {
    let mut parts = Vec::new();
    let mut listed = 0;
    for span in spans.iter().take(MAX_RANGES) {
        let stamps: Vec<Stamp> = index.stamps(&span.author, span.from..span.to).collect();
        if stamps.is_empty() {
            continue;
        }
        let list =
            |stamps: &[Stamp]| Holding::Listed(stamps.iter().map(|s| (s.at, s.id)).collect());
        let one_moment = stamps.first().map(|s| s.at) == stamps.last().map(|s| s.at);
        if stamps.len() <= MAX_LISTED || one_moment {
            // One moment cannot be split: as much of it as fits.
            let count = stamps.len().min(MAX_LISTED_TOTAL - listed);
            if count == 0 {
                break; // it is asked for again
            }
            listed += count;
            parts.push(Part {
                span: span.clone(),
                has: list(&stamps[..count]),
            });
            continue;
        }
        split(index, span, &stamps, &mut parts);
    }
    Response::Parts { parts }
}

/// Splits a span where its messages are, so that parts hold about equally many.
fn split(index: &Index, span: &Span, stamps: &[Stamp], parts: &mut Vec<Part>) {
    let mut from = span.from;
    for n in 1..=PARTS {
        let to = match n {
            PARTS => span.to,
            _ => stamps
                .get(stamps.len() * n / PARTS)
                .map_or(span.to, |stamp| stamp.at),
        };
        // A moment that holds many messages becomes a part of its own: parts must get smaller.
        let to = match to <= from && from == span.from {
            true => from + 1,
            false => to,
        };
        if to <= from {
            continue;
        }
        parts.push(Part {
            span: Span {
                author: span.author.clone(),
                from,
                to,
            },
            has: Holding::Print(index.fingerprint(&span.author, from..to)),
        });
        from = to;
    }
}

fn fetch<'a>(
    index: &Index,
    keys: impl Iterator<Item = (&'a Did, &'a Stamp)>,
    mut read: impl FnMut(&Did, &Stamp) -> Option<Vec<u8>>,
) -> Response {
    let mut messages = Vec::new();
    let mut bytes = 0;
    for (author, stamp) in keys.take(MAX_FETCHED) {
        let Some(size) = index.size(author, stamp) else {
            continue;
        };
        bytes += size as usize + 8;
        if bytes > MAX_FETCHED_BYTES && !messages.is_empty() {
            break; // the rest is asked for again
        }
        messages.extend(read(author, stamp).map(ByteBuf::from));
    }
    Response::Messages { messages }
}
