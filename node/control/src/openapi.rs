//! The OpenAPI 3.1 document, written from the table of routes and the types' JSON Schemas.

use pagi_api::Problem;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::routes::{Route, table};

const SERVER: &str = "http://127.0.0.1:8006";

const DESCRIPTION: &str = "\
The control API of a node. Over TCP every request needs `Authorization: Bearer TOKEN`, where \
`pagi token` prints the token, except the routes marked as open; over the unix socket `control.sock` \
in the data directory none does. `Host` must name the node's own machine, and pages of other origins \
are refused. Bodies are JSON objects with `Content-Type: application/json`; fields that are not known \
are ignored. Errors are problem documents (RFC 9457): 400 when the request cannot be read, 401 \
without a valid token, 403 when it is not allowed, 404 and 405 when there is no such thing or method, \
409 when the state rules it out, 413 when the body is too large, 415 when it is not JSON, 422 when it \
has the wrong shape (`violations` says where), 429 when there are too many, 5xx when the node or what it calls fails.";

/// The document: an OpenAPI 3.1 object with every route that the router serves.
#[must_use]
pub fn openapi() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths = Map::new();
    let mut tags: Vec<&str> = Vec::new();
    for route in table() {
        if !tags.contains(&route.tag) {
            tags.push(route.tag);
        }
        let operation = operation(&route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let problem = generator.subschema_for::<Problem>().to_value();
    let tags: Vec<Value> = tags
        .into_iter()
        .map(|name| json!({ "name": name }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "pagi control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
        },
        "servers": [{ "url": SERVER }],
        "tags": tags,
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "What went wrong.",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`pagi token` prints it.",
                },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut parameters = path_parameters(route.path);
    if let Some(query) = route.query {
        parameters.extend(query_parameters(&query(generator)));
    }
    let mut content = Map::new();
    for gives in &route.gives {
        content.insert(
            gives.media_type.into(),
            json!({ "schema": (gives.schema)(generator) }),
        );
    }
    let said: Vec<&str> = route.gives.iter().map(|gives| gives.description).collect();
    let mut responses = Map::new();
    responses.insert(
        route.status.to_string(),
        json!({ "description": said.join(" "), "content": content }),
    );
    responses.insert(
        "default".into(),
        json!({ "$ref": "#/components/responses/Problem" }),
    );
    let mut operation = json!({
        "operationId": operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "description": format!("{}\n\n```sh\n{}\n```", route.detail, curl(route)).trim(),
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(takes) = &route.takes {
        let example: Value = serde_json::from_str(takes.example).unwrap_or_default();
        let schema = (takes.schema)(generator);
        let content: Map<String, Value> = takes
            .media_types
            .iter()
            .map(|media| {
                let body = json!({ "schema": schema, "example": example });
                ((*media).to_owned(), body)
            })
            .collect();
        operation["requestBody"] = json!({ "required": takes.required, "content": content });
    }
    if route.open {
        operation["security"] = json!([]);
    }
    operation
}

/// `get_memory_twin_id_search` and the like.
fn operation_id(route: &Route) -> String {
    let mut id = route.method.as_str().to_ascii_lowercase();
    for part in route
        .path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
    {
        id.push('_');
        id.push_str(part);
    }
    id
}

fn path_parameters(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let description = match name {
                "twin_id" => "The twin's id.",
                "tool_name" => "The tool's name.",
                "plugin_name" => "The plugin's name.",
                "cid" => "A CID.",
                "task_id" => "The task's id.",
                "peer" => "A peer id or a node's DID.",
                _ => "",
            };
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": description,
                "schema": { "type": "string" },
            })
        })
        .collect()
}

/// A parameter for each property of an object's schema. All are optional.
fn query_parameters(schema: &Value) -> Vec<Value> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, property)| {
            let mut property = property.clone();
            let description = property["description"].take();
            // A query leaves out what is not there and knows no null.
            let kind = match &property["type"] {
                Value::Array(kinds) => kinds.first().cloned().unwrap_or_default(),
                kind => kind.clone(),
            };
            let mut schema = json!({ "type": kind });
            if let Some(minimum) = property.get("minimum") {
                schema["minimum"] = minimum.clone();
            }
            json!({ "name": name, "in": "query", "description": description, "schema": schema })
        })
        .collect()
}

/// A command line that calls the route.
fn curl(route: &Route) -> String {
    let mut command = String::from("curl");
    if !route.open {
        command.push_str(" -H \"Authorization: Bearer $(pagi token)\"");
    }
    if let Some(takes) = &route.takes {
        if route.method != axum::http::Method::POST {
            command.push_str(&format!(" -X {}", route.method));
        }
        command.push_str(&format!(
            " -H 'Content-Type: {}' -d '{}'",
            takes.media_types.first().unwrap_or(&"application/json"),
            takes.example
        ));
    } else if route.method != axum::http::Method::GET {
        command.push_str(&format!(" -X {}", route.method));
    }
    let path: Vec<String> = route.path.split('/').map(placeholder).collect();
    let streams = route
        .gives
        .first()
        .is_some_and(|gives| gives.media_type == "text/event-stream");
    let flags = if streams { " -N" } else { "" };
    let query = if route.path.ends_with("/search") {
        "?q=disk"
    } else {
        ""
    };
    format!("{command}{flags} {SERVER}{}{query}", path.join("/"))
}

fn placeholder(segment: &str) -> String {
    match segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some("tool_name") => "calculator".into(),
        Some("plugin_name") => "text_stats".into(),
        Some(name) => name.to_ascii_uppercase(),
        None => segment.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else_is() {
        let document = openapi();
        let documented: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(|method| (path.clone(), method.to_ascii_uppercase()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = table()
            .iter()
            .map(|route| (route.path.into(), route.method.to_string()))
            .collect();
        assert_eq!(documented, served);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_says_what_it_is() {
        let document = openapi();
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() > 40);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let mut ids = BTreeSet::new();
        for route in table() {
            assert!(
                !route.tag.is_empty() && !route.summary.is_empty(),
                "{}",
                route.path
            );
            assert!(!route.gives.is_empty(), "{}", route.path);
            assert!(ids.insert(operation_id(&route)), "{}", route.path);
            if let Some(takes) = &route.takes {
                assert!(
                    serde_json::from_str::<Value>(takes.example).is_ok(),
                    "{}",
                    route.path
                );
                assert!(!takes.example.contains('\''), "{}", route.path);
            }
        }
    }

    #[test]
    fn a_query_and_a_body_are_described() {
        let document = openapi();
        let log = &document["paths"]["/events/log"]["get"]["parameters"];
        let names: Vec<_> = log
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].clone())
            .collect();
        assert_eq!(names, ["after", "limit", "event_type", "twin_id", "source"]);
        assert_eq!(log[1]["schema"]["type"], "integer");
        let goal = &document["components"]["schemas"]["GoalRequest"];
        assert_eq!(goal["required"], json!(["goal"]));
        assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!([]));
        let curl = document["paths"]["/execute/{tool_name}"]["post"]["description"].as_str();
        assert!(
            curl.unwrap()
                .contains("http://127.0.0.1:8006/execute/calculator"),
            "{curl:?}"
        );
    }

    fn collect_references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(
                    object
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                object
                    .values()
                    .for_each(|inner| collect_references(inner, found));
            }
            Value::Array(items) => items
                .iter()
                .for_each(|inner| collect_references(inner, found)),
            _ => {}
        }
    }
}
