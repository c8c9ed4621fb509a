//! Parameter schemas, compiled once per tool.
//!
//! Schemas come from plugins and registrants, so nothing outside the schema is fetched for
//! `$ref`, and patterns run on an engine that takes linear time.

use crate::error::{ToolError, Violation, excerpt};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

const LARGEST_SCHEMA: usize = 64 << 10;
const MOST_VIOLATIONS: usize = 20;

/// The compiled schema of one tool's parameters.
pub(crate) struct Schema {
    validator: Validator,
}

impl Schema {
    /// Compiles `schema` for the tool called `tool`.
    pub(crate) fn compile(tool: &str, schema: &Value) -> Result<Self, ToolError> {
        let invalid = |reason: String| ToolError::invalid_spec(tool, reason);
        if !schema.is_object() {
            return Err(invalid("parameters must be a JSON Schema object".into()));
        }
        if schema.to_string().len() > LARGEST_SCHEMA {
            return Err(invalid(format!(
                "the schema is larger than {LARGEST_SCHEMA} bytes"
            )));
        }
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
            .build(schema)
            .map_err(|error| {
                let reason = excerpt(error.to_string().as_bytes());
                invalid(format!("parameters is no valid JSON Schema: {reason}"))
            })?;
        Ok(Self { validator })
    }

    /// Checks `parameters`; the error lists where they break the schema.
    pub(crate) fn check(&self, tool: &str, parameters: &Value) -> Result<(), ToolError> {
        let violations: Vec<Violation> = self
            .validator
            .iter_errors(parameters)
            .take(MOST_VIOLATIONS)
            .map(|error| Violation {
                path: error.instance_path().to_string(),
                message: excerpt(error.to_string().as_bytes()),
            })
            .collect();
        if violations.is_empty() {
            Ok(())
        } else {
            Err(ToolError::InvalidParameters {
                tool: tool.to_owned(),
                violations,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn violations_carry_their_path() {
        let schema = Schema::compile(
            "t",
            &json!({
                "type": "object",
                "required": ["name"],
                "properties": {"list": {"type": "array", "items": {"type": "integer"}}}
            }),
        )
        .unwrap();
        let Err(ToolError::InvalidParameters { violations, .. }) =
            schema.check("t", &json!({"list": [1, "two", 3, null]}))
        else {
            panic!("accepted");
        };
        let mut paths: Vec<_> = violations.iter().map(|v| v.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["", "/list/1", "/list/3"]);
        schema
            .check("t", &json!({"name": "n", "list": [1]}))
            .unwrap();
    }

    #[test]
    fn unusable_schemas_are_refused() {
        for schema in [
            json!("object"),
            json!({"type": "no such type"}),
            json!({"$ref": "http://127.0.0.1:1/schema.json"}),
            json!({"$ref": "file:///etc/hostname"}),
            json!({"properties": {"x": {"pattern": "("}}}),
            json!({"description": "x".repeat(LARGEST_SCHEMA)}),
        ] {
            assert!(Schema::compile("t", &schema).is_err(), "{schema:.80}");
        }
    }

    #[test]
    fn floods_of_violations_are_cut() {
        let schema = Schema::compile("t", &json!({"items": {"type": "integer"}})).unwrap();
        let Err(ToolError::InvalidParameters { violations, .. }) =
            schema.check("t", &json!(vec!["x"; 10_000]))
        else {
            panic!("accepted");
        };
        assert_eq!(violations.len(), MOST_VIOLATIONS);
    }
}
