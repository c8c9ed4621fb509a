//! Path, query and body as typed values, or the problem that says what is wrong with them.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use futures::StreamExt;
use pagi_api::{ApiError, Violation};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use serde_path_to_error::Segment as Step;

use crate::{failure::Failure, routes::Api};

/// How much beyond the limit is read and thrown away, so that a client that sends first and reads
/// after sees the answer instead of a broken connection.
const DRAIN_FACTOR: usize = 8;

/// The one variable segment of a path.
pub(crate) struct Segment(pub(crate) String);

impl FromRequestParts<Api> for Segment {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        match Path::<String>::from_request_parts(parts, api).await {
            Ok(Path(segment)) => Ok(Self(segment)),
            Err(error) => Err(ApiError::Malformed(error.body_text()).into()),
        }
    }
}

/// The query string; unknown keys are ignored.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Failure> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(ApiError::Malformed(error.body_text()).into()),
        }
    }
}

/// A JSON object of the shape `T`; unknown fields are ignored.
pub(crate) struct JsonObject<T>(pub(crate) T);

impl<T: DeserializeOwned + Serialize> FromRequest<Api> for JsonObject<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let bytes = json_body(request, api).await?;
        if bytes.is_empty() {
            return Err(ApiError::Malformed("the body is empty; send a JSON object".into()).into());
        }
        object(&parse(&bytes)?).map(Self)
    }
}

/// As [`JsonObject`], and an empty body is as good as `{}`.
pub(crate) struct MaybeObject<T>(pub(crate) T);

impl<T: DeserializeOwned + Serialize + Default> FromRequest<Api> for MaybeObject<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let bytes = json_body(request, api).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        object(&parse(&bytes)?).map(Self)
    }
}

/// Any JSON value.
pub(crate) struct AnyJson(pub(crate) Value);

impl FromRequest<Api> for AnyJson {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let bytes = json_body(request, api).await?;
        if bytes.is_empty() {
            return Err(ApiError::Malformed("the body is empty; send JSON".into()).into());
        }
        Ok(Self(parse(&bytes)?))
    }
}

/// Any JSON, as its text.
pub(crate) struct JsonText(pub(crate) String);

impl FromRequest<Api> for JsonText {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let bytes = json_body(request, api).await?;
        String::from_utf8(bytes.into())
            .map(Self)
            .map_err(|_| ApiError::Malformed("the body is not UTF-8 text".into()).into())
    }
}

/// The body, checked to be called JSON unless it is empty.
async fn json_body(request: Request, api: &Api) -> Result<Bytes, Failure> {
    let (parts, body) = request.into_parts();
    let reading = read(&parts.headers, body, api.max_body_bytes);
    let bytes = tokio::time::timeout(api.limits.body, reading)
        .await
        .map_err(|_| {
            Failure::request_timeout(format!(
                "the body did not arrive within {} s",
                api.limits.body.as_secs()
            ))
        })??;
    if !bytes.is_empty() {
        check_content_type(&parts.headers)?;
    }
    Ok(bytes)
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Failure> {
    let too_large = || {
        ApiError::TooLarge(format!(
            "the body is larger than the limit of {limit} bytes"
        ))
    };
    let drain_limit = limit.saturating_mul(DRAIN_FACTOR);
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    let waits_for_leave = headers.contains_key(header::EXPECT);
    if declared.is_some_and(|size| size > drain_limit || (waits_for_leave && size > limit)) {
        return Err(too_large().into());
    }
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut seen: usize = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|error| ApiError::Malformed(format!("the body broke off: {error}")))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= limit {
            bytes.extend_from_slice(&chunk);
        } else if seen > drain_limit {
            break;
        } else {
            bytes = Vec::new();
        }
    }
    if seen > limit {
        Err(too_large().into())
    } else {
        Ok(bytes.into())
    }
}

/// `application/json` or any `+json`, uncompressed. Nothing else may be sent by a web page without
/// asking first, so this too keeps pages out.
fn check_content_type(headers: &HeaderMap) -> Result<(), Failure> {
    let encoded = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| value != "identity");
    if encoded {
        return Err(Failure::unsupported_media_type(
            "the body must not be compressed",
        ));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(Failure::unsupported_media_type(
            "the body has no type; send `Content-Type: application/json`",
        ));
    };
    let media = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let media = media.trim().to_ascii_lowercase();
    let json = media == "application/json"
        || (media.starts_with("application/") && media.ends_with("+json"));
    if json {
        return Ok(());
    }
    Err(Failure::unsupported_media_type(format!(
        "the body is `{}`; send `Content-Type: application/json`",
        media.chars().take(100).collect::<String>()
    )))
}

fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::Malformed(format!("the body is not JSON: {error}")).into())
}

fn object<T: DeserializeOwned + Serialize>(value: &Value) -> Result<T, Failure> {
    if !value.is_object() {
        return Err(invalid(
            String::new(),
            format!("must be an object, not {}", kind(value)),
        ));
    }
    let typed: T = serde_path_to_error::deserialize(value).map_err(|error| {
        let mut path = pointer(error.path());
        let message = error.inner().to_string();
        if let Some(field) = message.strip_prefix("missing field `") {
            path.push('/');
            path.push_str(&escaped(field.trim_end_matches('`')));
            return invalid(path, "is missing".to_owned());
        }
        invalid(path, message)
    })?;
    // A derived struct also reads from an array, field by field in order; the API does not.
    let back = serde_json::to_value(&typed)
        .map_err(|error| ApiError::Internal(format!("cannot write a request back: {error}")))?;
    match array_for_object(value, &back) {
        Some(path) => Err(invalid(path, "must be an object, not an array".to_owned())),
        None => Ok(typed),
    }
}

fn array_for_object(sent: &Value, understood: &Value) -> Option<String> {
    match (sent, understood) {
        (Value::Array(_), Value::Object(_)) => Some(String::new()),
        (Value::Object(sent), Value::Object(understood)) => {
            understood.iter().find_map(|(key, inner)| {
                let path = array_for_object(sent.get(key)?, inner)?;
                Some(format!("/{}{path}", escaped(key)))
            })
        }
        _ => None,
    }
}

fn invalid(path: String, message: String) -> Failure {
    let place = if path.is_empty() {
        "the body"
    } else {
        path.as_str()
    };
    ApiError::Invalid {
        detail: format!("{place} {}", message_after_place(&message)),
        violations: vec![Violation { path, message }],
    }
    .into()
}

fn message_after_place(message: &str) -> String {
    if message.starts_with("is ") || message.starts_with("must ") {
        message.to_owned()
    } else {
        format!("is wrong: {message}")
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|step| match step {
            Step::Map { key } => Some(format!("/{}", escaped(key))),
            Step::Seq { index } => Some(format!("/{index}")),
            Step::Enum { .. } | Step::Unknown => None,
        })
        .collect()
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use pagi_api::{
        goal::GoalRequest,
        tools::{ExecuteTool, RegisterTool},
        twins::SetEmotion,
    };
    use serde_json::json;

    use super::*;

    fn violation<T: DeserializeOwned + Serialize>(value: Value) -> (String, String) {
        let failure = object::<T>(&value).err().unwrap();
        assert_eq!(failure.problem().status, 422);
        let violation = failure.problem().violations[0].clone();
        (violation.path, violation.message)
    }

    #[test]
    fn a_wrong_field_is_named() {
        assert_eq!(
            violation::<GoalRequest>(json!({})),
            ("/goal".into(), "is missing".into())
        );
        let (path, message) = violation::<SetEmotion>(json!({"mood": 1, "activation_level": 1}));
        assert_eq!(path, "/mood");
        assert!(message.contains("expected a string"), "{message}");
        assert_eq!(
            violation::<RegisterTool>(json!({"tool": {}})).0,
            "/tool/name"
        );
        assert_eq!(
            violation::<RegisterTool>(json!({"tool": {"name": []}})).0,
            "/tool/name"
        );
    }

    #[test]
    fn an_array_is_no_object_at_any_depth() {
        assert_eq!(violation::<GoalRequest>(json!(["go"])).0, "");
        assert_eq!(
            violation::<RegisterTool>(json!({"tool": ["calculator"]})).0,
            "/tool"
        );
        for value in [json!(null), json!(1), json!("x"), json!(true)] {
            assert_eq!(violation::<ExecuteTool>(value).0, "");
        }
        // Where any JSON is welcome, an array is too.
        let request: ExecuteTool = object(&json!({"parameters": [1, {"a": []}]})).ok().unwrap();
        assert_eq!(request.parameters, json!([1, {"a": []}]));
    }

    #[test]
    fn unknown_fields_are_ignored_and_trailing_data_is_not() {
        let request: GoalRequest = object(&json!({"goal": "x", "later": 1})).ok().unwrap();
        assert_eq!(request.goal, "x");
        for bad in [
            &b"{} {}"[..],
            b"{}x",
            b"{",
            b"",
            b"\xff",
            b"{\"a\":1e999}",
            b"\xef\xbb\xbf{}",
        ] {
            assert_eq!(parse(bad).err().unwrap().problem().status, 400);
        }
        assert_eq!(
            parse("[".repeat(100_000).as_bytes())
                .err()
                .unwrap()
                .problem()
                .status,
            400
        );
    }

    #[test]
    fn only_plain_json_is_a_body() {
        let status = |pairs: &[(header::HeaderName, &'static str)]| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (name.clone(), header::HeaderValue::from_static(value)))
                .collect();
            check_content_type(&headers)
                .err()
                .map(|failure| failure.problem().status)
        };
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/ld+json",
        ] {
            assert_eq!(status(&[(header::CONTENT_TYPE, good)]), None, "{good}");
        }
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "text/x+json",
            "",
        ] {
            assert_eq!(status(&[(header::CONTENT_TYPE, bad)]), Some(415), "{bad}");
        }
        assert_eq!(status(&[]), Some(415));
        let zipped = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CONTENT_ENCODING, "gzip"),
        ];
        assert_eq!(status(&zipped), Some(415));
    }
}
