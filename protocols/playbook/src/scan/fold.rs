//! What a reader sees of a text.

/// Reduces text to what a reader sees: lower case, look-alike letters and letters with accents made
/// plain, hidden characters dropped, and hidden tag characters made visible.
#[must_use]
pub fn fold(text: &str) -> String {
    text.chars()
        .filter_map(visible)
        .flat_map(char::to_lowercase)
        .map(plain)
        .collect()
}

/// The character a reader sees, if any.
fn visible(c: char) -> Option<char> {
    let code = u32::from(c);
    let letter = |offset: u32| char::from_u32(u32::from('a') + offset % 26);
    match code {
        // Soft hyphen, joiners, direction marks, variation selectors, combining accents.
        0xAD | 0x300..=0x36F | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F => None,
        0xFE00..=0xFE0F | 0xFEFF => None,
        // Tag characters spell ASCII that no one sees.
        0xE0020..=0xE007E => char::from_u32(code - 0xE0000),
        0xE0000..=0xE0FFF => None,
        // Full-width forms, circled letters, mathematical letters and digits.
        0xFF01..=0xFF5E => char::from_u32(code - 0xFEE0),
        0x24B6..=0x24E9 => letter(code - 0x24B6),
        0x1D400..=0x1D6A3 => letter(code - 0x1D400),
        0x1D7CE..=0x1D7FF => char::from_u32(u32::from('0') + (code - 0x1D7CE) % 10),
        _ => Some(c),
    }
}

/// The plain letter a lower-case letter looks like.
fn plain(c: char) -> char {
    match c {
        'а' | 'α' | 'à'..='å' | 'ā' | 'ă' | 'ą' | 'ᴀ' | 'ɑ' => 'a',
        'в' | 'β' | 'ʙ' => 'b',
        'с' | 'ç' | 'ć' | 'č' | 'ᴄ' | 'ϲ' => 'c',
        'ԁ' | 'ď' | 'ᴅ' => 'd',
        'е' | 'ε' | 'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' | 'ᴇ' | 'ё' => 'e',
        'ɡ' | 'ğ' | 'ɢ' => 'g',
        'һ' | 'н' | 'ʜ' => 'h',
        'і' | 'ι' | 'ì'..='ï' | 'ī' | 'ı' | 'ɪ' | 'ї' => 'i',
        'ј' => 'j',
        'к' | 'κ' | 'ᴋ' => 'k',
        'ӏ' | 'ł' | 'ʟ' | 'ⅼ' => 'l',
        'м' | 'ᴍ' => 'm',
        'ո' | 'η' | 'ñ' | 'ń' | 'ɴ' | 'п' => 'n',
        'о' | 'ο' | 'ò'..='ö' | 'ø' | 'ō' | 'ő' | 'ᴏ' | 'օ' => 'o',
        'р' | 'ρ' | 'ᴘ' => 'p',
        'г' | 'ʀ' => 'r',
        'ѕ' | 'ś' | 'š' | 'ş' | 'ꜱ' => 's',
        'т' | 'τ' | 'ţ' | 'ᴛ' => 't',
        'υ' | 'ù'..='ü' | 'ū' | 'ů' | 'ᴜ' | 'ս' => 'u',
        'ν' | 'ѵ' | 'ᴠ' => 'v',
        'ѡ' | 'ω' | 'ᴡ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' | 'ý' | 'ÿ' | 'ʏ' => 'y',
        'ź' | 'ż' | 'ž' | 'ᴢ' => 'z',
        other => other,
    }
}

/// The letter a digit or sign stands for in coarse disguises.
pub(super) fn unmask(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}
