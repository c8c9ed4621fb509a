//! Arithmetic expressions over doubles, read and evaluated in one pass.
//!
//! Precedence, loosest first, as mathematics writes it:
//!
//! | | |
//! |---|---|
//! | `+ -` | left to right |
//! | `* / of mod`, `%` between two operands | left to right; `%` and `mod` are the remainder with the sign of the dividend |
//! | sign | `-2^2` is `-(2^2)` |
//! | `^` or `**` | right to left: `2^3^2` is `2^(3^2)` |
//! | `%` behind an operand | hundredths: `15% of 80` is 12 |
//!
//! Numbers are decimal, with an optional exponent (`1.5e-3`). Constants: `pi` (`π`), `tau`, `e`.
//! A step whose result is not finite is an error, never `inf` or `NaN`.

mod apply;
#[cfg(test)]
mod tests;
mod tokens;

use apply::{FUNCTIONS, apply};
use tokens::{Placed, Token, tokens};

/// Longest expression, in characters.
pub(crate) const LONGEST: usize = 1000;
/// Deepest nesting of parentheses, signs and powers.
const DEEPEST: usize = 100;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, at character {position}")]
pub struct ExpressionError {
    /// Where, counted in characters from 1.
    pub position: usize,
    /// Cause, for a person.
    pub reason: String,
}

/// Evaluates `text` in double precision.
///
/// # Errors
/// Text that is no expression, is longer than 1000 characters or nests deeper than 100, and
/// steps without a finite result (division by zero, `sqrt(-1)`, overflow).
pub fn evaluate(text: &str) -> Result<f64, ExpressionError> {
    if text.chars().nth(LONGEST).is_some() {
        return Err(ExpressionError {
            position: LONGEST + 1,
            reason: format!("the expression is longer than {LONGEST} characters"),
        });
    }
    let tokens = tokens(text)?;
    let mut reader = Reader {
        tokens: &tokens,
        next: 0,
        depth: 0,
    };
    let value = reader.sum()?;
    match reader.peek() {
        Token::End => Ok(value),
        other => Err(reader.error(format!("expected an operator instead of {}", other.shown()))),
    }
}

struct Reader<'a> {
    tokens: &'a [Placed],
    next: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> &Token {
        self.tokens
            .get(self.next)
            .map_or(&Token::End, |placed| &placed.token)
    }

    fn position(&self) -> usize {
        self.tokens
            .get(self.next)
            .or(self.tokens.last())
            .map_or(1, |placed| placed.position)
    }

    fn error(&self, reason: impl Into<String>) -> ExpressionError {
        ExpressionError {
            position: self.position(),
            reason: reason.into(),
        }
    }

    fn take(&mut self, symbol: char) -> bool {
        let found = *self.peek() == Token::Symbol(symbol);
        self.next += usize::from(found);
        found
    }

    fn take_name(&mut self, name: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(found) if found == name);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: char) -> Result<(), ExpressionError> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.error(format!(
                "expected `{symbol}` instead of {}",
                self.peek().shown()
            )))
        }
    }

    /// Bounds the recursion.
    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<f64, ExpressionError>,
    ) -> Result<f64, ExpressionError> {
        if self.depth >= DEEPEST {
            return Err(self.error(format!("nested deeper than {DEEPEST}")));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn sum(&mut self) -> Result<f64, ExpressionError> {
        let mut value = self.product()?;
        loop {
            let at = self.position();
            value = if self.take('+') {
                finite(value + self.product()?, "the sum", at)?
            } else if self.take('-') {
                finite(value - self.product()?, "the difference", at)?
            } else {
                return Ok(value);
            };
        }
    }

    fn product(&mut self) -> Result<f64, ExpressionError> {
        let mut value = self.signed()?;
        loop {
            let at = self.position();
            value = if self.take('*') || self.take_name("of") {
                finite(value * self.signed()?, "the product", at)?
            } else if self.take('/') {
                let divisor = self.signed()?;
                if divisor == 0.0 {
                    return Err(ExpressionError {
                        position: at,
                        reason: "division by zero".into(),
                    });
                }
                finite(value / divisor, "the quotient", at)?
            } else if self.take('%') || self.take_name("mod") {
                finite(value % self.signed()?, "the remainder", at)?
            } else {
                return Ok(value);
            };
        }
    }

    fn signed(&mut self) -> Result<f64, ExpressionError> {
        if self.take('-') {
            self.deeper(Self::signed).map(|value| -value)
        } else if self.take('+') {
            self.deeper(Self::signed)
        } else {
            self.power()
        }
    }

    fn power(&mut self) -> Result<f64, ExpressionError> {
        let base = self.hundredths()?;
        let at = self.position();
        if !self.take('^') {
            return Ok(base);
        }
        let exponent = self.deeper(Self::signed)?;
        finite(base.powf(exponent), "the power", at)
    }

    fn hundredths(&mut self) -> Result<f64, ExpressionError> {
        let mut value = self.operand()?;
        while *self.peek() == Token::Symbol('%') && !self.operand_follows() {
            self.next += 1;
            value /= 100.0;
        }
        Ok(value)
    }

    /// Whether the token behind the next one begins an operand, which makes a `%` a remainder.
    fn operand_follows(&self) -> bool {
        match self.tokens.get(self.next + 1).map(|placed| &placed.token) {
            Some(Token::Number(_) | Token::Symbol('(')) => true,
            Some(Token::Name(name)) => name != "of" && name != "mod",
            _ => false,
        }
    }

    fn operand(&mut self) -> Result<f64, ExpressionError> {
        match self.peek().clone() {
            Token::Number(value) => {
                self.next += 1;
                Ok(value)
            }
            Token::Symbol('(') => {
                self.next += 1;
                let value = self.deeper(Self::sum)?;
                self.expect(')')?;
                Ok(value)
            }
            Token::Name(name) => self.named(&name),
            other => Err(self.error(format!("expected a number instead of {}", other.shown()))),
        }
    }

    fn named(&mut self, name: &str) -> Result<f64, ExpressionError> {
        let at = self.position();
        let constant = match name {
            "pi" | "π" => Some(std::f64::consts::PI),
            "tau" | "τ" => Some(std::f64::consts::TAU),
            "e" => Some(std::f64::consts::E),
            _ => None,
        };
        if let Some(value) = constant {
            self.next += 1;
            return Ok(value);
        }
        if !FUNCTIONS.contains(&name) {
            let known = FUNCTIONS.join(", ");
            return Err(self.error(format!("`{name}` is not known; functions are {known}")));
        }
        self.next += 1;
        self.expect('(')?;
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.deeper(Self::sum)?);
            if !self.take(',') {
                break;
            }
        }
        self.expect(')')?;
        let value = apply(name, &arguments).map_err(|reason| ExpressionError {
            position: at,
            reason: reason.into(),
        })?;
        finite(value, &format!("{name} of that"), at)
    }
}

fn finite(value: f64, what: &str, position: usize) -> Result<f64, ExpressionError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(ExpressionError {
            position,
            reason: format!("{what} is no finite number"),
        })
    }
}
