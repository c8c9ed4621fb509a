//! HTTP tools against a real server.

use crate::server::{Reply, Server};
use crate::tool;
use pagi_plugin_host::{
    AddressCheck, Annotations, Caller, HostConfig, HttpLimits, ToolError, ToolHost,
};
use serde_json::{Value, json};
use std::time::Duration;

fn ok(body: &str) -> Reply {
    Reply::Status(200, body.into())
}

fn host() -> ToolHost {
    host_with(HttpLimits {
        max_response_bytes: 1000,
        ..HttpLimits::default()
    })
}

fn host_with(http: HttpLimits) -> ToolHost {
    ToolHost::new(HostConfig {
        http,
        ..HostConfig::default()
    })
    .unwrap()
}

/// Calls a tool whose server keeps to `script`; also returns how many requests arrived.
async fn call(script: Vec<Reply>, annotations: Annotations) -> (Result<Value, ToolError>, usize) {
    let server = Server::start(script).await;
    let host = host();
    let mut spec = tool("t", &server.url, "/run");
    spec.annotations = annotations;
    host.register(spec).await.unwrap();
    let answer = host.execute("t", &Caller::default(), json!({"x": 1})).await;
    (answer, server.count())
}

const PLAIN: Annotations = Annotations {
    read_only: false,
    idempotent: false,
    open_world: true,
};
const IDEMPOTENT: Annotations = Annotations {
    idempotent: true,
    ..PLAIN
};
const READ_ONLY: Annotations = Annotations {
    read_only: true,
    ..PLAIN
};

#[tokio::test]
async fn parameters_are_posted_and_json_comes_back() {
    let server = Server::start(vec![ok(r#"{"answer": 42}"#)]).await;
    let host = host();
    host.register(tool("t", &format!("{}/base/", server.url), "run?mode=x"))
        .await
        .unwrap();
    let answer = host
        .execute("t", &Caller::twin("alice"), json!({"q": "é"}))
        .await
        .unwrap();
    assert_eq!(answer, json!({"answer": 42}));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, "POST /base/run?mode=x HTTP/1.1");
    assert_eq!(requests[0].body, json!({"q": "é"}));
}

#[tokio::test]
async fn no_content_is_null() {
    let raw = Reply::Raw(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec());
    assert_eq!(call(vec![raw], PLAIN).await.0.unwrap(), Value::Null);
}

#[tokio::test]
async fn bad_answers_have_their_own_errors() {
    for (reply, want) in [
        (Reply::Status(500, "boom".into()), "http_status"),
        (Reply::Status(404, String::new()), "http_status"),
        (ok("<html>"), "not_json"),
        (ok(""), "not_json"),
        (
            ok(&format!("\"{}\"", "x".repeat(1000))),
            "response_too_large",
        ),
        (Reply::Endless, "response_too_large"),
        (Reply::Raw(b"SSH-2.0-x\r\n".to_vec()), "unreachable"),
    ] {
        let (answer, count) = call(vec![reply.clone()], IDEMPOTENT).await;
        let error = answer.expect_err("an error");
        assert_eq!(error.kind(), want, "{reply:?}: {error}");
        if want != "unreachable" {
            assert_eq!(count, 1, "{reply:?} is final");
        }
    }
    let (answer, _) = call(vec![Reply::Status(500, "boom\x1b[0m".into())], PLAIN).await;
    assert_eq!(
        answer.unwrap_err(),
        ToolError::Http {
            status: 500,
            body_excerpt: "boom [0m".into()
        }
    );
}

#[tokio::test]
async fn answers_at_the_limit_pass() {
    let body = format!("\"{}\"", "x".repeat(998));
    assert_eq!(
        call(vec![ok(&body)], PLAIN).await.0.unwrap(),
        json!("x".repeat(998))
    );
}

#[tokio::test]
async fn retries_happen_only_where_they_are_safe() {
    let busy = || Reply::Status(503, "busy".into());
    for (script, annotations, works, count) in [
        (vec![busy(), busy(), ok("1")], IDEMPOTENT, true, 3),
        (vec![busy(), ok("1")], READ_ONLY, true, 2),
        (
            vec![Reply::Close, Reply::Status(502, String::new()), ok("1")],
            IDEMPOTENT,
            true,
            3,
        ),
        (
            vec![Reply::Close, Reply::Status(504, String::new()), ok("1")],
            READ_ONLY,
            true,
            3,
        ),
        (vec![busy(), busy(), busy(), ok("1")], IDEMPOTENT, false, 3),
        (vec![busy(), ok("1")], PLAIN, false, 1),
        (vec![Reply::Close, ok("1")], PLAIN, false, 1),
        (
            vec![Reply::Status(500, String::new()), ok("1")],
            IDEMPOTENT,
            false,
            1,
        ),
        (
            vec![Reply::Status(400, String::new()), ok("1")],
            IDEMPOTENT,
            false,
            1,
        ),
    ] {
        let what = format!("{script:?} {annotations:?}");
        let (answer, seen) = call(script, annotations).await;
        assert_eq!(answer.is_ok(), works, "{what}: {answer:?}");
        assert_eq!(seen, count, "{what}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::start(vec![ok("1")]).await;
    for status in [301, 302, 307, 308] {
        let raw = format!(
            "HTTP/1.1 {status} X\r\nlocation: {}/run\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            elsewhere.url
        );
        let (answer, _) = call(vec![Reply::Raw(raw.into_bytes())], READ_ONLY).await;
        assert!(matches!(answer, Err(ToolError::Http { status: s, .. }) if s == status));
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn slow_servers_run_into_the_timeout() {
    let server = Server::start(vec![Reply::Hang]).await;
    let host = ToolHost::new(HostConfig {
        call_timeout: Duration::from_millis(200),
        ..HostConfig::default()
    })
    .unwrap();
    host.register(tool("t", &server.url, "/run")).await.unwrap();
    let error = host
        .execute("t", &Caller::default(), json!({}))
        .await
        .unwrap_err();
    assert_eq!(error, ToolError::Timeout { after_ms: 200 });
}

#[tokio::test]
async fn closed_ports_are_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let host = host();
    host.register(tool("t", &url, "/run")).await.unwrap();
    let error = host
        .execute("t", &Caller::default(), json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "unreachable", "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn wrong_parameters_send_nothing() {
    let server = Server::start(vec![ok("1")]).await;
    let host = host();
    let mut spec = tool("t", &server.url, "/run");
    spec.parameters = json!({
        "type": "object",
        "required": ["place"],
        "properties": {"place": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}}
    });
    host.register(spec).await.unwrap();
    let parameters = json!({"place": 3, "days": [1, "two"]});
    let error = host
        .execute("t", &Caller::default(), parameters.clone())
        .await
        .unwrap_err();
    let ToolError::InvalidParameters { tool, violations } = &error else {
        panic!("{error}")
    };
    assert_eq!(tool, "t");
    let mut paths: Vec<_> = violations
        .iter()
        .map(|violation| violation.path.as_str())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/days/1", "/place"]);
    assert_eq!(host.check("t", &parameters).unwrap_err(), error);
    assert_eq!(server.count(), 0);
    host.check("t", &json!({"place": "x"})).unwrap();
}

#[tokio::test]
async fn an_address_that_may_not_be_reached_is_not_reached() {
    let server = Server::start(vec![ok("{}")]).await;
    let by_name = server.url.replace("127.0.0.1", "localhost");
    let shut = AddressCheck::new(|address| match address.is_loopback() {
        true => Err(format!("{address} is closed")),
        false => Ok(()),
    });
    for (check, url, reached) in [
        (Some(shut.clone()), &server.url, false),
        (Some(shut), &by_name, false),
        (Some(AddressCheck::new(|_| Ok(()))), &by_name, true),
        (None, &by_name, true),
    ] {
        let host = ToolHost::new(HostConfig {
            address_check: check,
            ..HostConfig::default()
        })
        .unwrap();
        host.register(tool("t", url, "/run")).await.unwrap();
        let before = server.count();
        let answer = host.execute("t", &Caller::default(), json!({})).await;
        assert_eq!(server.count() - before, usize::from(reached), "{url}");
        match answer {
            Ok(_) => assert!(reached, "{url}"),
            Err(ToolError::Denied { reason }) => {
                assert!(!reached && reason.contains("is closed"), "{reason}");
            }
            Err(other) => panic!("{url}: {other}"),
        }
    }
}
