//! The `calculator` tool: one expression in, one number out.

use crate::HARMLESS;
use crate::expression::{LONGEST, evaluate};
use async_trait::async_trait;
use pagi_plugin_host::{Caller, NativeTool, ToolError, ToolSpec};
use serde::Deserialize;
use serde_json::{Number, Value, json};

/// Evaluates arithmetic; see [`evaluate`](crate::evaluate) for the language.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calculator;

#[derive(Deserialize)]
struct Parameters {
    expression: String,
}

#[async_trait]
impl NativeTool for Calculator {
    fn spec(&self) -> ToolSpec {
        ToolSpec::native(
            "calculator",
            "Calculates the result of a mathematical expression: arithmetic with + - * / ^ and \
             parentheses, remainder and percentages (\"15% of 80\"), and functions such as sqrt, \
             sin, ln, log10, min, max, round. Use it to compute, add, sum, subtract, multiply, \
             divide or evaluate numbers.",
            json!({
                "type": "object",
                "required": ["expression"],
                "additionalProperties": false,
                "properties": {
                    "expression": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": LONGEST,
                        "description": "The expression, for example (2 + 3) * 4 ^ 2"
                    }
                }
            }),
        )
        .with_annotations(HARMLESS)
    }

    async fn call(&self, _caller: &Caller, parameters: Value) -> Result<Value, ToolError> {
        let Parameters { expression } = serde_json::from_value(parameters)
            .map_err(|error| ToolError::failed(error.to_string()))?;
        let result = evaluate(&expression).map_err(|error| ToolError::failed(error.to_string()))?;
        Ok(json!({"expression": expression, "result": number(result)}))
    }
}

/// Whole numbers that a double holds exactly are written without a fraction.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        let whole = value as i64;
        Value::from(whole)
    } else {
        Number::from_f64(value).map_or(Value::Null, Value::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_fraction() {
        assert_eq!(number(4.0), json!(4));
        assert_eq!(number(-0.0), json!(0));
        assert_eq!(number(0.5), json!(0.5));
        assert_eq!(number(1e300), json!(1e300));
    }
}
