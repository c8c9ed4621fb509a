//! The first-party plugin `plugins/text_stats`, as shipped.

use pagi_plugin_host::{Caller, HostConfig, ToolHost};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../text_stats")
}

/// Set this to write `plugin.wasm` anew instead of comparing.
const BUILD: &str = "PAGI_BUILD_PLUGINS";

fn built() -> Vec<u8> {
    let module = wat::parse_file(folder().join("plugin.wat")).unwrap();
    if std::env::var_os(BUILD).is_some() {
        std::fs::write(folder().join("plugin.wasm"), &module).unwrap();
    }
    module
}

#[test]
fn text_stats_module_is_built_from_its_source() {
    let built = built();
    let shipped = std::fs::read(folder().join("plugin.wasm")).unwrap_or_default();
    assert!(
        shipped == built,
        "plugin.wasm is not plugin.wat; run this test with {BUILD}=1"
    );
}

async fn load() -> ToolHost {
    let host = ToolHost::new(HostConfig::default()).unwrap();
    let found = host.discover(&folder().join("..")).await;
    assert!(found.failed.is_empty(), "{:?}", found.failed);
    let plugin = found
        .loaded
        .iter()
        .find(|plugin| plugin.name == "text_stats")
        .unwrap();
    assert_eq!(plugin.tools, ["text_stats"]);
    host
}

async fn stats(host: &ToolHost, text: &str) -> Value {
    host.execute("text_stats", &Caller::default(), json!({"text": text}))
        .await
        .unwrap()
}

fn expected(text: &str) -> Value {
    let blank = |c: char| matches!(c, ' ' | '\t'..='\r');
    json!({
        "bytes": text.len(),
        "characters": text.chars().count(),
        "words": text.split(blank).filter(|word| !word.is_empty()).count(),
        "lines": text.split_terminator('\n').count(),
    })
}

#[tokio::test]
async fn text_stats_counts() {
    let host = load().await;
    for text in [
        "",
        " ",
        "one",
        "two words",
        "a\nb\n",
        "a\n\nb",
        "\n",
        "tab\tand \"quotes\" and \\ and / and {\"text\":\"",
        "grüße, 世界 🦀",
        "\u{1}\u{1f}\u{7f}\u{b}x\u{c}y\u{8}z\r\n",
    ] {
        assert_eq!(stats(&host, text).await, expected(text), "{text:?}");
    }
    let long = "word ".repeat(100_000);
    assert_eq!(stats(&host, &long).await, expected(&long));
}

#[tokio::test]
async fn text_stats_wants_a_text() {
    let host = load().await;
    for parameters in [
        json!({}),
        json!({"text": 1}),
        json!({"text": "", "more": 1}),
    ] {
        let error = host
            .execute("text_stats", &Caller::default(), parameters)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), "invalid_parameters");
    }
}

#[test]
fn text_stats_agrees_with_rust_on_any_text() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = runtime.block_on(load());
    let texts = prop_oneof![any::<String>(), "[ a-c\n\t\r\"\\\\é🦀]{0,80}"];
    proptest!(ProptestConfig::with_cases(64), |(text in texts)| {
        prop_assert_eq!(runtime.block_on(stats(&host, &text)), expected(&text));
    });
}
