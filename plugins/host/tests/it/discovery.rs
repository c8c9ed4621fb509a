//! Scans of plugin directories.

use crate::server::{Reply, Server};
use crate::{Bench, ECHO_RUN, GOOD_RUN, guest, guest_importing};
use pagi_plugin_host::{Caller, Discovery, HostConfig, PluginType, ToolHost, ToolSource, ToolSpec};
use serde_json::json;
use std::path::Path;

fn manifest(name: &str, plugin_type: &str, rest: &str) -> String {
    format!(
        "[plugin]\nname = \"{name}\"\nversion = \"1.2.3\"\nplugin_type = \"{plugin_type}\"\n{rest}\n"
    )
}

fn plugin(dir: &Path, folder: &str, manifest: &str, wat: Option<&str>) {
    let folder = dir.join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("manifest.toml"), manifest).unwrap();
    if let Some(wat) = wat {
        std::fs::write(folder.join("plugin.wasm"), wat::parse_str(wat).unwrap()).unwrap();
    }
}

fn host() -> ToolHost {
    let mut config = HostConfig::default();
    config.wasm.fuel = 20_000_000;
    ToolHost::new(config).unwrap()
}

fn kinds(found: &Discovery) -> Vec<(&str, &str)> {
    found
        .failed
        .iter()
        .map(|failed| {
            (
                failed.dir.file_name().unwrap().to_str().unwrap(),
                failed.error.kind(),
            )
        })
        .collect()
}

fn one_tool(name: &str) -> String {
    format!("[[tools]]\nname = \"{name}\"\nendpoint = \"run\"\n")
}

#[tokio::test]
async fn one_good_plugin_among_broken_ones() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let good = guest(GOOD_RUN);
    let wasm = |name: &str, tools: &str| manifest(name, "wasm", tools);
    plugin(
        at,
        "good",
        &wasm("good", &one_tool("good_tool")),
        Some(&good),
    );
    plugin(
        at,
        "bad_binary",
        &manifest("bin", "binary", &one_tool("x1")),
        None,
    );
    plugin(
        at,
        "bad_escape",
        &manifest("esc", "wasm", "wasm_path = \"../good/plugin.wasm\""),
        None,
    );
    plugin(
        at,
        "bad_export",
        &wasm("exp", "[[tools]]\nname = \"not_there\"\n"),
        Some(&good),
    );
    plugin(
        at,
        "bad_import",
        &wasm("imp", &one_tool("x2")),
        Some(&guest_importing(
            r#"(import "env" "open" (func))"#,
            GOOD_RUN,
        )),
    );
    plugin(
        at,
        "bad_init",
        &wasm("ini", &one_tool("x3")),
        Some(&guest(&format!(
            r#"(func (export "init") unreachable) {GOOD_RUN}"#
        ))),
    );
    plugin(
        at,
        "bad_loop",
        &wasm("loo", &one_tool("x4")),
        Some(&guest(&format!(
            r#"(func (export "init") (loop $l (br $l))) {GOOD_RUN}"#
        ))),
    );
    plugin(at, "bad_missing", &wasm("mis", &one_tool("x5")), None);
    plugin(
        at,
        "bad_name",
        &wasm("nam", &one_tool("no good")),
        Some(&good),
    );
    plugin(at, "bad_none", &wasm("non", ""), Some(&good));
    plugin(
        at,
        "bad_schema",
        &wasm(
            "sch",
            &format!("{}parameters = {{ type = \"x\" }}\n", one_tool("x6")),
        ),
        Some(&good),
    );
    plugin(
        at,
        "bad_shared",
        &manifest("lib", "shared_lib", &one_tool("x7")),
        None,
    );
    plugin(at, "bad_toml", "[plugin", None);
    plugin(
        at,
        "bad_url",
        &manifest("url", "http", &one_tool("x8")),
        None,
    );
    plugin(
        at,
        "good_twin",
        &wasm("good", &one_tool("twin_tool")),
        Some(&good),
    );
    plugin(
        at,
        "good_tool_thief",
        &wasm(
            "thief",
            &format!("{}{}", one_tool("x9"), one_tool("good_tool")),
        ),
        Some(&good),
    );
    std::fs::create_dir(at.join("no_plugin")).unwrap();
    std::fs::write(at.join("README.md"), "text").unwrap();

    let host = host();
    let found = host.discover(at).await;
    assert_eq!(
        kinds(&found),
        [
            ("bad_binary", "denied"),
            ("bad_escape", "invalid_manifest"),
            ("bad_export", "bad_guest"),
            ("bad_import", "bad_guest"),
            ("bad_init", "trap"),
            ("bad_loop", "out_of_fuel"),
            ("bad_missing", "io"),
            ("bad_name", "invalid_manifest"),
            ("bad_none", "invalid_manifest"),
            ("bad_schema", "invalid_spec"),
            ("bad_shared", "denied"),
            ("bad_toml", "invalid_manifest"),
            ("bad_url", "invalid_spec"),
            ("good_tool_thief", "denied"),
            ("good_twin", "denied"),
        ]
    );
    let loaded = &found.loaded[..];
    assert!(
        matches!(loaded, [one] if one.name == "good" && one.tools == ["good_tool"]),
        "{loaded:?}"
    );
    assert_eq!(loaded[0].plugin_type, PluginType::Wasm);
    // Nothing of a broken plugin stays behind, not even its good tools.
    let names: Vec<_> = host.list().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["good_tool"]);
    let answer = host
        .execute("good_tool", &Caller::default(), json!({}))
        .await
        .unwrap();
    assert_eq!(answer, json!({"ok": true}));
    let spec = host.get("good_tool").unwrap();
    assert_eq!(
        spec.source,
        ToolSource::Plugin {
            name: "good".into(),
            version: "1.2.3".into()
        }
    );
    assert!(
        spec.plugin_url.starts_with("wasm:///"),
        "{}",
        spec.plugin_url
    );
}

#[tokio::test]
async fn links_out_of_the_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = Bench::new(|_| {});
    let module = elsewhere.write("p.wasm", wat::parse_str(guest(GOOD_RUN)).unwrap());
    plugin(
        dir.path(),
        "link",
        &manifest("link", "wasm", &one_tool("x")),
        None,
    );
    std::os::unix::fs::symlink(module, dir.path().join("link/plugin.wasm")).unwrap();
    assert_eq!(
        kinds(&host().discover(dir.path()).await),
        [("link", "denied")]
    );
}

#[tokio::test]
async fn modules_register_tools_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let wat = guest_importing(
        r#"(import "pagi" "register_tool" (func $reg (param i32 i32 i32 i32 i32 i32)))"#,
        &format!(
            r#"(data (i32.const 200) "echo_it") (data (i32.const 210) "Says it again")
               (data (i32.const 230) "/run") (data (i32.const 240) "run")
               (func (export "init")
                 (call $reg (i32.const 200) (i32.const 7) (i32.const 210) (i32.const 13)
                            (i32.const 230) (i32.const 4))
                 (call $reg (i32.const 240) (i32.const 3) (i32.const 210) (i32.const 13)
                            (i32.const 0) (i32.const 0)))
               {ECHO_RUN}"#
        ),
    );
    // The manifest names one of the two and adds a schema.
    let tools =
        "[[tools]]\nname = \"run\"\nparameters = '{\"type\": \"object\", \"required\": [\"x\"]}'\n";
    plugin(dir.path(), "p", &manifest("p", "wasm", tools), Some(&wat));
    let host = host();
    let found = host.discover(dir.path()).await;
    assert_eq!(
        found.loaded[0].tools,
        ["run", "echo_it"],
        "{:?}",
        found.failed
    );
    let run = host.get("run").unwrap();
    assert_eq!(run.description, "Says it again");
    assert_eq!(run.parameters["required"], json!(["x"]));
    assert_eq!(
        host.check("run", &json!({})).unwrap_err().kind(),
        "invalid_parameters"
    );
    for tool in ["run", "echo_it"] {
        let answer = host
            .execute(tool, &Caller::default(), json!({"x": [1]}))
            .await
            .unwrap();
        assert_eq!(answer, json!({"x": [1]}), "{tool}");
    }
}

#[tokio::test]
async fn http_plugins() {
    let server = Server::start(vec![Reply::Status(200, "7".into())]).await;
    let dir = tempfile::tempdir().unwrap();
    let rest = format!(
        "url = \"http://127.0.0.1:9\"\n[[tools]]\nname = \"seven\"\nendpoint = \"/seven\"\nplugin_url = \"{}\"\n\
         [[tools]]\nname = \"other\"\nendpoint = \"/other\"\n",
        server.url
    );
    plugin(dir.path(), "p", &manifest("p", "http", &rest), None);
    let host = host();
    let found = host.discover(dir.path()).await;
    assert_eq!(
        found.loaded[0].tools,
        ["seven", "other"],
        "{:?}",
        found.failed
    );
    let answer = host
        .execute("seven", &Caller::default(), json!({}))
        .await
        .unwrap();
    assert_eq!(answer, json!(7));
    assert_eq!(server.requests()[0].line, "POST /seven HTTP/1.1");
    assert_eq!(host.get("other").unwrap().plugin_url, "http://127.0.0.1:9");
}

#[tokio::test]
async fn a_second_scan_replaces_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let good = guest(GOOD_RUN);
    let tools = format!("{}{}", one_tool("a"), one_tool("b"));
    plugin(dir.path(), "p", &manifest("p", "wasm", &tools), Some(&good));
    let host = host();
    host.discover(dir.path()).await;
    plugin(
        dir.path(),
        "p",
        &manifest("p", "wasm", &one_tool("b")),
        Some(&guest(ECHO_RUN)),
    );
    let found = host.discover(dir.path()).await;
    assert!(found.failed.is_empty(), "{:?}", found.failed);
    assert!(host.get("a").is_none());
    let answer = host
        .execute("b", &Caller::default(), json!({"new": 1}))
        .await
        .unwrap();
    assert_eq!(answer, json!({"new": 1}));
    // A plugin's name stays its own, until it is removed.
    let claim = ToolSpec {
        name: "b".into(),
        ..crate::tool("b", "http://127.0.0.1:9", "")
    };
    assert_eq!(
        host.register(claim.clone()).await.unwrap_err().kind(),
        "denied"
    );
    assert_eq!(host.unregister_plugin("p"), 1);
    host.register(claim).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_missing_holds_no_plugins() {
    let dir = tempfile::tempdir().unwrap();
    let found = host().discover(&dir.path().join("none")).await;
    assert!(found.loaded.is_empty() && found.failed.is_empty());
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(kinds(&host().discover(&file).await), [("file", "io")]);
}
