//! Brings look-alike spellings of a text to plain lower-case letters: compatibility forms, accents,
//! invisible characters, letters of other scripts, letters hidden in symbols and tag characters.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// Whether `c` shows nothing: zero-width, direction, filler, variation and tag characters.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// The characters of `text` in lower case and whether each was a capital, disguises undone. Text
/// hidden in tag characters is appended as a sentence of its own.
pub(super) fn fold(text: &str) -> Vec<(char, bool)> {
    let normalizer = DecomposingNormalizerBorrowed::new_nfkd();
    let mut folded = Vec::with_capacity(text.len());
    for c in normalizer.normalize(text).chars() {
        if is_invisible(c) || is_mark(c) {
            continue;
        }
        let c = symbol_letter(c).unwrap_or(c);
        let upper = c.is_uppercase();
        if c == '\u{39c}' {
            folded.push(('m', true));
            continue;
        }
        for lower in c.to_lowercase() {
            match lower {
                'ß' => folded.extend([('s', false), ('s', false)]),
                'æ' => folded.extend([('a', upper), ('e', upper)]),
                'œ' => folded.extend([('o', upper), ('e', upper)]),
                other => folded.push((look_alike(other), upper)),
            }
        }
    }
    let hidden: String = text
        .chars()
        .filter_map(|c| u32::from(c).checked_sub(0xe0000))
        .filter_map(|code| u8::try_from(code).ok().filter(|b| (0x20..0x7f).contains(b)))
        .map(char::from)
        .collect();
    if !hidden.is_empty() {
        folded.extend([('.', false), ('\n', false), ('\n', false)]);
        folded.extend(
            hidden
                .chars()
                .map(|c| (c.to_ascii_lowercase(), c.is_ascii_uppercase())),
        );
    }
    folded
}

/// Letters on coloured discs, squares and flags.
fn symbol_letter(c: char) -> Option<char> {
    let code = u32::from(c);
    let base = match code {
        0x1f150..=0x1f169 => 0x1f150,
        0x1f170..=0x1f189 => 0x1f170,
        0x1f1e6..=0x1f1ff => 0x1f1e6,
        _ => return None,
    };
    char::from_u32(u32::from('a') + code - base)
}

/// The Latin letter that a lower-case letter of another script, or a special one, looks like.
fn look_alike(c: char) -> char {
    const PAIRS: &[(&str, char)] = &[
        ("аαɑᴀ", 'a'),
        ("вьβʙ", 'b'),
        ("сϲᴄ", 'c'),
        ("ԁđᴅ", 'd'),
        ("еєεᴇ", 'e'),
        ("ꜰ", 'f'),
        ("ɡɢ", 'g'),
        ("нһħʜ", 'h'),
        ("іιıɩɪӏ", 'i'),
        ("јᴊ", 'j'),
        ("кκᴋ", 'k'),
        ("łʟ", 'l'),
        ("мᴍ", 'm'),
        ("пηɴ", 'n'),
        ("оοøᴏσ", 'o'),
        ("рρᴘ", 'p'),
        ("ԛ", 'q'),
        ("гʀ", 'r'),
        ("ѕꜱ", 's'),
        ("тτŧᴛ", 't'),
        ("υμᴜ", 'u'),
        ("νѵᴠ", 'v'),
        ("ԝωᴡ", 'w'),
        ("хχ", 'x'),
        ("уγʏ", 'y'),
        ("ᴢ", 'z'),
        ("’ʼ‘`´′", '\''),
        ("‐‑‒", '-'),
    ];
    if c.is_ascii() && c != '`' {
        return c;
    }
    PAIRS
        .iter()
        .find(|(likes, _)| likes.contains(c))
        .map_or(c, |(_, latin)| *latin)
}
