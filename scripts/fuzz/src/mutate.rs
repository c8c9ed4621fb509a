//! Bending inputs: bytes, numbers, JSON and DAG-CBOR trees, and the words of the seeds. Pure; the
//! random numbers come from a seed.

use ipld_core::ipld::Ipld;
use pagi_messages::{from_dag_cbor, to_dag_cbor};
use serde_json::Value;

/// Random numbers from a seed (xorshift64*): the same seed gives the same run.
pub struct Rng(u64);

impl Rng {
    /// A generator; any seed will do.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.draw() % end).unwrap_or(0)
    }

    /// A power of two below 2 to the `bits`.
    pub fn power(&mut self, bits: usize) -> usize {
        1 << self.below(bits)
    }

    /// One of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

/// What mutations draw on.
#[derive(Default)]
pub struct Material {
    /// Words of the seeds.
    pub words: Vec<Vec<u8>>,
    /// Pairs of numbers that the program compared and found different.
    pub compared: Vec<(u64, u64)>,
}

const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x0010_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];
const ODD_TEXTS: [&str; 12] = [
    "",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "e\u{301}",
    "null",
    "../../x",
    "-0",
    "1e400",
    "did:key:z",
    "0x10",
    "\u{1f469}\u{200d}\u{1f4bb}",
];

/// The words of `seed`: runs of letters, digits and the marks inside names.
#[must_use]
pub fn words_of(seed: &[u8]) -> Vec<Vec<u8>> {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-:.".contains(byte);
    seed.split(|byte| !part(byte))
        .filter(|word| (2..=64).contains(&word.len()))
        .map(<[u8]>::to_vec)
        .collect()
}

/// A bent copy of `input`, at most `max` bytes long; `other` is another input to take parts of.
#[must_use]
pub fn bend(input: &[u8], other: &[u8], material: &Material, max: usize, rng: &mut Rng) -> Vec<u8> {
    let mut data = input.to_vec();
    let most = rng.power(4);
    let times = 1 + rng.below(most);
    for _ in 0..times {
        let bent = match rng.below(4) {
            0 => tree(&data, other, rng),
            _ => None,
        };
        match bent {
            Some(bent) => data = bent,
            None => bytes(&mut data, other, material, rng),
        }
    }
    data.truncate(max);
    data
}

fn bytes(data: &mut Vec<u8>, other: &[u8], material: &Material, rng: &mut Rng) {
    let at = rng.below(data.len() + 1);
    let most = rng.power(8);
    let span = (1 + rng.below(most)).min(data.len() - at);
    match rng.below(14) {
        0 | 1 => {
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
        2 => {
            if let Some(byte) = data.get_mut(at) {
                *byte = u8::try_from(rng.draw() & 0xff).unwrap_or(0);
            }
        }
        3 => drop(data.drain(at..at + span)),
        4 => {
            let copy: Vec<u8> = data[at..at + span].to_vec();
            data.splice(at..at, copy);
        }
        5 => {
            let from = rng.below(other.len() + 1);
            let part = &other[from..(from + 1 + rng.below(64)).min(other.len())];
            let end = if rng.below(2) == 0 { at } else { at + span };
            data.splice(at..end, part.iter().copied());
        }
        6 => {
            if let Some(word) = rng.pick(&material.words) {
                let end = if rng.below(2) == 0 { at } else { at + span };
                data.splice(at..end, word.iter().copied());
            }
        }
        7 => {
            let number = EDGES[rng.below(EDGES.len())].to_be_bytes();
            let width = [1, 2, 4, 8][rng.below(4)];
            for (place, byte) in data.iter_mut().skip(at).zip(&number[8 - width..]) {
                *place = *byte;
            }
        }
        8 => {
            // Nesting and long runs.
            let byte = [b'[', b'{', b'(', 0x81, 0xa1, 0xd8, b' ', b'9', 0x80, 0xff][rng.below(10)];
            let run = rng.power(14);
            data.splice(at..at, std::iter::repeat_n(byte, run));
        }
        9 => data.truncate(at),
        10 => digits(data, at, rng),
        11 => {
            let text = ODD_TEXTS[rng.below(ODD_TEXTS.len())];
            data.splice(at..at, text.bytes());
        }
        12 => {
            let extra: Vec<u8> = (0..1 + rng.below(8))
                .map(|_| u8::try_from(rng.draw() & 0xff).unwrap_or(0))
                .collect();
            data.splice(at..at, extra);
        }
        _ => compared(data, material, rng),
    }
}

/// Replaces the decimal number at or after `at`.
fn digits(data: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let Some(start) = data.iter().skip(at).position(u8::is_ascii_digit) else {
        return;
    };
    let start = at + start;
    let length = data[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = match rng.below(4) {
        0 => format!("-{}", EDGES[rng.below(EDGES.len())]),
        1 => format!("{}.5", rng.below(1000)),
        2 => "1e309".to_owned(),
        _ => EDGES[rng.below(EDGES.len())].to_string(),
    };
    data.splice(start..start + length, number.into_bytes());
}

/// Writes the number that the program compared with one of the input's into its place.
fn compared(data: &mut [u8], material: &Material, rng: &mut Rng) {
    let Some((a, b)) = rng.pick(&material.compared).copied() else {
        return;
    };
    for width in [8usize, 4, 2, 1] {
        let (from, to) = (a.to_be_bytes(), b.to_be_bytes());
        let (from, to) = (&from[8 - width..], &to[8 - width..]);
        for big in [true, false] {
            let turned = |bytes: &[u8]| -> Vec<u8> {
                let mut bytes = bytes.to_vec();
                if !big {
                    bytes.reverse();
                }
                bytes
            };
            let (from, to) = (turned(from), turned(to));
            let found: Vec<usize> = data
                .windows(width)
                .enumerate()
                .filter(|(_, window)| *window == from)
                .map(|(at, _)| at)
                .collect();
            if let Some(at) = rng.pick(&found) {
                data[*at..*at + width].copy_from_slice(&to);
                return;
            }
        }
    }
}

/// Bends `data` as the tree it holds, where it holds one.
fn tree(data: &[u8], other: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    if let Ok(mut value) = serde_json::from_slice::<Value>(data) {
        let donor: Option<Value> = serde_json::from_slice(other).ok();
        let mut at = rng.below(count_json(&value));
        edit_json(&mut value, &mut at, donor.as_ref(), rng);
        return serde_json::to_vec(&value).ok();
    }
    let mut value: Ipld = from_dag_cbor(data).ok()?;
    let donor: Option<Ipld> = from_dag_cbor(other).ok();
    let mut at = rng.below(count_ipld(&value));
    edit_ipld(&mut value, &mut at, donor.as_ref(), rng);
    to_dag_cbor(&value).ok()
}

fn count_json(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count_json).sum(),
        Value::Object(members) => members.values().map(count_json).sum(),
        _ => 0,
    }
}

fn edit_json(value: &mut Value, at: &mut usize, donor: Option<&Value>, rng: &mut Rng) -> bool {
    if *at > 0 {
        *at -= 1;
        return match value {
            Value::Array(items) => items.iter_mut().any(|item| edit_json(item, at, donor, rng)),
            Value::Object(members) => members
                .values_mut()
                .any(|item| edit_json(item, at, donor, rng)),
            _ => false,
        };
    }
    let replaced = match (rng.below(9), &mut *value) {
        (0, Value::Object(members)) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            if let Some(key) = rng.pick(&keys) {
                members.remove(key);
            }
            return true;
        }
        (1, Value::Object(members)) => {
            members.insert("unknown".into(), Value::Null);
            return true;
        }
        (0 | 1, Value::Array(items)) => {
            if let Some(item) = rng.pick(items).cloned() {
                items.extend(std::iter::repeat_n(item, rng.power(8)));
            }
            return true;
        }
        (2, Value::String(text)) => {
            text.push_str(ODD_TEXTS[rng.below(ODD_TEXTS.len())]);
            return true;
        }
        (3, Value::String(text)) => {
            *text = text.repeat(rng.power(8));
            return true;
        }
        (4, _) => Value::from(EDGES[rng.below(EDGES.len())]),
        (5, _) => Value::from(-0.5),
        (6, _) => Value::from(ODD_TEXTS[rng.below(ODD_TEXTS.len())]),
        (7, _) => serde_json::json!([[], {}, null, true]),
        _ => donor.cloned().unwrap_or(Value::Null),
    };
    *value = replaced;
    true
}

fn count_ipld(value: &Ipld) -> usize {
    1 + match value {
        Ipld::List(items) => items.iter().map(count_ipld).sum(),
        Ipld::Map(members) => members.values().map(count_ipld).sum(),
        _ => 0,
    }
}

fn edit_ipld(value: &mut Ipld, at: &mut usize, donor: Option<&Ipld>, rng: &mut Rng) -> bool {
    if *at > 0 {
        *at -= 1;
        return match value {
            Ipld::List(items) => items.iter_mut().any(|item| edit_ipld(item, at, donor, rng)),
            Ipld::Map(members) => members
                .values_mut()
                .any(|item| edit_ipld(item, at, donor, rng)),
            _ => false,
        };
    }
    let replaced = match (rng.below(9), &mut *value) {
        (0, Ipld::Map(members)) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            if let Some(key) = rng.pick(&keys) {
                members.remove(key);
            }
            return true;
        }
        (1, Ipld::Map(members)) => {
            members.insert("unknown".into(), Ipld::Null);
            return true;
        }
        (0 | 1, Ipld::List(items)) => {
            if let Some(item) = rng.pick(items).cloned() {
                items.extend(std::iter::repeat_n(item, rng.power(8)));
            }
            return true;
        }
        (2, Ipld::String(text)) => {
            text.push_str(ODD_TEXTS[rng.below(ODD_TEXTS.len())]);
            return true;
        }
        (3, Ipld::String(text)) => {
            *text = text.repeat(rng.power(8));
            return true;
        }
        (4, _) => Ipld::Integer(i128::from(EDGES[rng.below(EDGES.len())])),
        (5, _) => Ipld::Float(-0.5),
        (6, _) => Ipld::String(ODD_TEXTS[rng.below(ODD_TEXTS.len())].into()),
        (7, _) => Ipld::List(vec![Ipld::Null, Ipld::Bytes(vec![0; 4])]),
        _ => donor.cloned().unwrap_or(Ipld::Null),
    };
    *value = replaced;
    true
}
