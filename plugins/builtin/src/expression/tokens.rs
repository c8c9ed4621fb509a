//! Text into tokens.

use super::ExpressionError;
use std::iter::Peekable;
use std::str::CharIndices;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Name(String),
    Symbol(char),
    End,
}

impl Token {
    /// For error messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Number(value) => format!("the number {value}"),
            Self::Name(name) => format!("`{name}`"),
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::End => "the end".into(),
        }
    }
}

/// A token and where it begins, counted in characters from 1.
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) position: usize,
}

/// Splits `text`; the last token is always [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, ExpressionError> {
    let mut out = Vec::new();
    let mut chars = text.char_indices().peekable();
    let position = |offset: usize| text.get(..offset).map_or(0, |head| head.chars().count()) + 1;
    while let Some(&(start, c)) = chars.peek() {
        let token = match c {
            c if c.is_whitespace() => {
                chars.next();
                continue;
            }
            '0'..='9' | '.' => {
                let end = number_end(&mut chars, text.len());
                let digits = text.get(start..end).unwrap_or_default();
                let value = digits.parse::<f64>().ok().filter(|value| value.is_finite());
                Token::Number(value.ok_or_else(|| ExpressionError {
                    position: position(start),
                    reason: format!("`{digits}` is no number"),
                })?)
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some((_, c)) = chars.next_if(|(_, c)| c.is_alphanumeric() || *c == '_') {
                    name.extend(c.to_lowercase());
                }
                Token::Name(name)
            }
            _ => {
                chars.next();
                let symbol = match c {
                    '*' if chars.next_if(|(_, c)| *c == '*').is_some() => '^',
                    '×' | '·' => '*',
                    '÷' => '/',
                    '−' => '-',
                    '+' | '-' | '*' | '/' | '^' | '%' | '(' | ')' | ',' => c,
                    _ => {
                        return Err(ExpressionError {
                            position: position(start),
                            reason: format!("`{}` has no meaning here", c.escape_debug()),
                        });
                    }
                };
                Token::Symbol(symbol)
            }
        };
        out.push(Placed {
            token,
            position: position(start),
        });
    }
    out.push(Placed {
        token: Token::End,
        position: position(text.len()),
    });
    Ok(out)
}

/// Moves behind digits, fraction and exponent and returns the byte offset there.
fn number_end(chars: &mut Peekable<CharIndices<'_>>, len: usize) -> usize {
    while chars
        .next_if(|(_, c)| c.is_ascii_digit() || *c == '.')
        .is_some()
    {}
    let mut ahead = chars.clone();
    if ahead.next_if(|(_, c)| matches!(c, 'e' | 'E')).is_some() {
        let _ = ahead.next_if(|(_, c)| matches!(c, '+' | '-'));
        if ahead.peek().is_some_and(|(_, c)| c.is_ascii_digit()) {
            while ahead.next_if(|(_, c)| c.is_ascii_digit()).is_some() {}
            *chars = ahead;
        }
    }
    chars.peek().map_or(len, |&(offset, _)| offset)
}
