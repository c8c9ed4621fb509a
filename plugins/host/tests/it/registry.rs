//! Names, owners and what may replace what.

use crate::{Bench, GOOD_RUN, guest, tool, wasm_tool};
use async_trait::async_trait;
use pagi_plugin_host::{Caller, HostConfig, NativeTool, ToolError, ToolHost, ToolSource, ToolSpec};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Answers with the twin that called, or waits forever if told to.
struct WhoAmI;

#[async_trait]
impl NativeTool for WhoAmI {
    fn spec(&self) -> ToolSpec {
        ToolSpec::native(
            "who_am_i",
            "Tells the caller's name",
            json!({"type": "object"}),
        )
    }

    async fn call(&self, caller: &Caller, parameters: Value) -> Result<Value, ToolError> {
        if parameters.get("wait").is_some() {
            std::future::pending::<()>().await;
        }
        Ok(json!(caller.twin_id))
    }
}

fn host() -> ToolHost {
    let host = ToolHost::new(HostConfig::default()).unwrap();
    host.register_native(Arc::new(WhoAmI)).unwrap();
    host
}

fn owned(name: &str, owner: Option<&str>) -> ToolSpec {
    ToolSpec {
        owner_twin: owner.map(str::to_owned),
        ..tool(name, "http://127.0.0.1:9", "/x")
    }
}

#[tokio::test]
async fn native_tools_see_the_caller_and_time_out() {
    let host = host();
    let answer = host
        .execute("who_am_i", &Caller::twin("alice"), json!({}))
        .await
        .unwrap();
    assert_eq!(answer, json!("alice"));
    let host = ToolHost::new(HostConfig {
        call_timeout: Duration::from_millis(50),
        ..HostConfig::default()
    })
    .unwrap();
    host.register_native(Arc::new(WhoAmI)).unwrap();
    let error = host
        .execute("who_am_i", &Caller::default(), json!({"wait": 1}))
        .await
        .unwrap_err();
    assert_eq!(error, ToolError::Timeout { after_ms: 50 });
}

#[tokio::test]
async fn native_tools_cannot_be_replaced_or_removed() {
    let host = host();
    assert_eq!(
        host.register(owned("who_am_i", None))
            .await
            .unwrap_err()
            .kind(),
        "denied"
    );
    assert_eq!(
        host.register_native(Arc::new(WhoAmI)).unwrap_err().kind(),
        "denied"
    );
    assert!(!host.unregister("who_am_i"));
    assert_eq!(host.get("who_am_i").unwrap().source, ToolSource::Native);
}

#[tokio::test]
async fn only_the_owner_replaces_and_calls() {
    let host = host();
    host.register(owned("w", Some("alice"))).await.unwrap();
    let newer = ToolSpec {
        description: "newer".into(),
        ..owned("w", Some("alice"))
    };
    host.register(newer).await.unwrap();
    assert_eq!(host.get("w").unwrap().description, "newer");
    for other in [Some("bob"), None] {
        assert_eq!(
            host.register(owned("w", other)).await.unwrap_err().kind(),
            "denied"
        );
    }
    let error = host
        .execute("w", &Caller::twin("bob"), json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "denied");
    for caller in [Caller::twin("alice"), Caller::default()] {
        // Nothing listens there, but the call got as far as trying.
        assert_eq!(
            host.execute("w", &caller, json!({}))
                .await
                .unwrap_err()
                .kind(),
            "unreachable"
        );
    }
    assert!(host.unregister("w"));
    assert!(!host.unregister("w"));
    assert_eq!(
        host.execute("w", &Caller::default(), json!({}))
            .await
            .unwrap_err()
            .kind(),
        "unknown_tool"
    );
}

#[tokio::test]
async fn a_registration_cannot_claim_another_source() {
    let host = host();
    let spec = ToolSpec {
        source: ToolSource::Native,
        ..owned("w", None)
    };
    assert_eq!(
        host.register(spec).await.unwrap().source,
        ToolSource::Registered
    );
    assert!(host.unregister("w"));
}

#[tokio::test]
async fn invalid_specs_are_refused() {
    let host = host();
    let schema = |parameters| ToolSpec {
        parameters,
        ..owned("w", None)
    };
    for spec in [
        owned("", None),
        owned("a b", None),
        owned(&"n".repeat(65), None),
        tool("w", "gopher://h", "/x"),
        tool("w", "http://127.0.0.1:9", "/x\r\nhost: evil"),
        schema(json!({"type": "nonsense"})),
        schema(json!([])),
        ToolSpec {
            description: "x".repeat(10_000),
            ..owned("w", None)
        },
    ] {
        let error = host.register(spec.clone()).await.unwrap_err();
        assert_eq!(error.kind(), "invalid_spec", "{spec:?}: {error}");
    }
    let spec = host.register(schema(Value::Null)).await.unwrap();
    assert_eq!(spec.parameters, json!({"type": "object"}));
    assert_eq!(host.list().len(), 2);
}

#[tokio::test]
async fn the_registry_has_a_limit() {
    let host = ToolHost::new(HostConfig {
        max_tools: 2,
        ..HostConfig::default()
    })
    .unwrap();
    host.register(owned("a", None)).await.unwrap();
    host.register(owned("b", None)).await.unwrap();
    assert_eq!(
        host.register(owned("c", None)).await.unwrap_err().kind(),
        "denied"
    );
    host.register(owned("b", None)).await.unwrap();
}

#[tokio::test]
async fn modules_load_only_from_their_roots() {
    let bench = Bench::new(|_| {});
    let elsewhere = tempfile::tempdir().unwrap();
    let module = wat::parse_str(guest(GOOD_RUN)).unwrap();
    let outside = elsewhere.path().join("p.wasm");
    std::fs::write(&outside, &module).unwrap();
    let inside = bench.write("p.wasm", &module);
    std::os::unix::fs::symlink(&outside, bench.dir.path().join("link.wasm")).unwrap();

    bench
        .host
        .register(wasm_tool("inside", &inside))
        .await
        .unwrap();
    let dotted = format!(
        "wasm://{}/../{}/p.wasm",
        bench.dir.path().display(),
        elsewhere.path().file_name().unwrap().to_str().unwrap()
    );
    for url in [
        format!("wasm://{}", outside.display()),
        format!("wasm://{}/link.wasm", bench.dir.path().display()),
        dotted.clone(),
        dotted.replace("..", "%2e%2e"),
        "wasm:///no/such/file.wasm".to_owned(),
    ] {
        let error = bench
            .host
            .register(tool("w", &url, "/run"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), "denied", "{url}: {error}");
    }
    let open = Bench::new(|config| config.allow_any_path = true);
    open.host.register(wasm_tool("w", &outside)).await.unwrap();
    let missing = open
        .host
        .register(wasm_tool("x", &elsewhere.path().join("none")))
        .await;
    assert_eq!(missing.unwrap_err().kind(), "io");
}
