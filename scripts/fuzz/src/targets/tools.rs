//! Tools and models: plugin manifests, WebAssembly modules and results, answers over HTTP.

use std::{cell::RefCell, time::Duration};

use pagi_plugin_host::{
    Annotations, Caller, HostConfig, Manifest, PluginType, ToolError, ToolHost, ToolSource,
    ToolSpec,
};
use pagi_twin::inference::{ChatModel, ModelConfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::watch,
};

pub fn manifest_seeds() -> Vec<Vec<u8>> {
    let wasm = r#"[plugin]
name = "weather"
version = "1.2.0"
plugin_type = "wasm"
wasm_path = "plugin.wasm"

[[tools]]
name = "forecast"
description = "Weather forecast of a place"
endpoint = "forecast"
parameters = { type = "object", required = ["place"], properties = { place = { type = "string" } } }
annotations = { read_only = true }
"#;
    let http = r#"[plugin]
name = "greeter"
version = "1"
plugin_type = "http"
url = "http://127.0.0.1:9000"

[[tools]]
name = "greet"
parameters = '{"type":"object"}'
"#;
    vec![wasm.into(), http.into()]
}

pub fn manifest(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(manifest) = Manifest::parse(text) else {
        return false;
    };
    assert!(!manifest.wasm_path.is_absolute(), "a module outside");
    assert!(
        manifest.wasm_path.components().all(|part| matches!(
            part,
            std::path::Component::Normal(_) | std::path::Component::CurDir
        )),
        "a module outside the folder: {:?}",
        manifest.wasm_path
    );
    assert!(manifest.plugin_type != PluginType::Wasm || manifest.url.is_none());
    assert!(manifest.tools.len() <= 256);
    for tool in &manifest.tools {
        assert!(tool.parameters.is_object());
        assert!(!tool.name.is_empty() && tool.name.len() <= 64);
    }
    let mut names: Vec<&str> = manifest
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "a tool stands twice");
    true
}

/// A host with a folder of its own, and the runtime it runs in.
struct Bench {
    runtime: Runtime,
    host: ToolHost,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        let mut config = HostConfig {
            wasm_root: vec![dir.path().to_owned()],
            call_timeout: Duration::from_secs(10),
            ..HostConfig::default()
        };
        config.wasm.deadline = Duration::from_secs(2);
        config.wasm.fuel = 1_000_000;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let host = runtime.block_on(async { ToolHost::new(config) });
        Self {
            runtime,
            host: host.expect("a host"),
            dir,
        }
    }

    fn load(&self, module: &[u8]) -> Result<ToolSpec, ToolError> {
        let path = self.dir.path().join("module.wasm");
        std::fs::write(&path, module).expect("a file");
        let spec = spec(&format!("wasm://{}", path.display()), "run");
        self.runtime.block_on(self.host.register(spec))
    }

    fn call(&self) -> Result<Value, ToolError> {
        let caller = Caller::default();
        let call = self.host.execute("t", &caller, json!({"text": "x"}));
        let done = self.runtime.block_on(call);
        self.host.unregister("t");
        done
    }
}

fn spec(plugin_url: &str, endpoint: &str) -> ToolSpec {
    ToolSpec {
        name: "t".into(),
        description: String::new(),
        plugin_url: plugin_url.into(),
        endpoint: endpoint.into(),
        parameters: json!({"type": "object"}),
        annotations: Annotations::default(),
        owner_twin: None,
        source: ToolSource::Registered,
    }
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

fn with_bench<T>(work: impl FnOnce(&Bench) -> T) -> T {
    BENCH.with_borrow_mut(|bench| work(bench.get_or_insert_with(Bench::new)))
}

/// A module whose `run` returns `len` bytes at `ptr`, where `data` lies at 64.
fn returning(ptr: u32, len: u32, data: &[u8]) -> Vec<u8> {
    let bytes: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let packed = (u64::from(ptr) << 32) | u64::from(len);
    let text = format!(
        r#"(module
          (import "pagi" "register_tool" (func $r (param i32 i32 i32 i32 i32 i32)))
          (memory (export "memory") 1 4)
          (data (i32.const 64) "{bytes}")
          (func (export "init") (call $r (i32.const 64) (i32.const 4) (i32.const 64)
            (i32.const 4) (i32.const 64) (i32.const 4)))
          (func (export "alloc") (param i32) (result i32) (i32.const 32768))
          (func (export "dealloc") (param i32 i32))
          (func (export "run") (param i32 i32) (result i64) (i64.const 0x{packed:x})))"#
    );
    wat::parse_str(text).expect("a module")
}

pub fn module_seeds() -> Vec<Vec<u8>> {
    vec![
        returning(64, 4, b"null"),
        returning(64, 11, br#"{"ok":true}"#),
    ]
}

pub fn module(data: &[u8]) -> bool {
    with_bench(|bench| {
        if bench.load(data).is_err() {
            return false;
        }
        let _ = bench.call();
        true
    })
}

pub fn result_seeds() -> Vec<Vec<u8>> {
    let seed = |ptr: u32, len: u32, data: &[u8]| {
        let mut all = ptr.to_be_bytes().to_vec();
        all.extend_from_slice(&len.to_be_bytes());
        all.extend_from_slice(data);
        all
    };
    vec![
        seed(64, 11, br#"{"ok":true}"#),
        seed(64, 4, b"null"),
        seed(64, 30, br#"{"a":[1,2.5,"x",{"b":[null]}]}"#),
    ]
}

/// Eight bytes of pointer and length, then what lies in the guest's memory.
pub fn result(data: &[u8]) -> bool {
    let Some((head, body)) = data.split_first_chunk::<8>() else {
        return false;
    };
    let [a, b, c, d, e, f, g, h] = *head;
    let (ptr, len) = (
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    );
    with_bench(|bench| {
        bench
            .load(&returning(ptr, len, body))
            .expect("the module itself is sound");
        let got = bench.call();
        let mut memory = vec![0; 65_536];
        if body.len() <= memory.len() - 64 {
            memory[64..64 + body.len()].copy_from_slice(body);
        }
        // The parameters were written where `alloc` said.
        let input = json!({"text": "x"}).to_string();
        memory[32_768..32_768 + input.len()].copy_from_slice(input.as_bytes());
        let (start, end) = (ptr as usize, ptr as usize + len as usize);
        let expected = memory
            .get(start..end)
            .and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
        match (got, expected) {
            (Ok(got), Some(expected)) => {
                assert_eq!(got, expected, "the result is another");
                true
            }
            (Ok(got), None) => panic!("a result out of nothing: {got}"),
            (Err(error), Some(_)) => panic!("a sound result is refused: {error}"),
            (Err(_), None) => false,
        }
    })
}

/// A server on this machine that answers every request with the bytes it was last given.
struct Answering {
    runtime: Runtime,
    say: watch::Sender<Vec<u8>>,
    url: String,
}

impl Answering {
    fn new() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (say, said) = watch::channel(Vec::new());
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let said = said.clone();
                tokio::spawn(async move {
                    let (mut head, mut part) = (Vec::new(), [0; 4096]);
                    loop {
                        // A request is over with its body; ours are small and come with a length.
                        while !whole(&head) {
                            match stream.read(&mut part).await {
                                Ok(count) if count > 0 => head.extend_from_slice(&part[..count]),
                                _ => return,
                            }
                        }
                        head.clear();
                        let body = said.borrow().clone();
                        let first = format!(
                            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n",
                            body.len()
                        );
                        // In one piece: two would wait for each other.
                        let whole = [first.as_bytes(), &body].concat();
                        if stream.write_all(&whole).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { runtime, say, url }
    }
}

/// Whether a request is there with its body.
fn whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|part| part == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    request.len() >= end + 4 + length
}

thread_local! {
    static ANSWERING: RefCell<Option<(Answering, ToolHost, ChatModel)>> =
        const { RefCell::new(None) };
}

fn with_server<T>(data: &[u8], work: impl FnOnce(&Runtime, &ToolHost, &ChatModel) -> T) -> T {
    ANSWERING.with_borrow_mut(|held| {
        let (server, host, model) = held.get_or_insert_with(|| {
            let server = Answering::new();
            let host = server.runtime.block_on(async {
                let host = ToolHost::new(HostConfig::default()).expect("a host");
                host.register(spec(&server.url, "/run"))
                    .await
                    .expect("a tool");
                host
            });
            let model = ChatModel::new(&ModelConfig {
                url: server.url.clone(),
                model: "m".into(),
                api_key: None,
                timeout: Duration::from_secs(10),
                max_turns: 1,
                fall_back_to_planner: false,
            })
            .expect("a model");
            (server, host, model)
        });
        server.say.send_replace(data.to_vec());
        work(&server.runtime, host, model)
    })
}

pub fn answer_seeds() -> Vec<Vec<u8>> {
    vec![
        br#"{"ok":true}"#.to_vec(),
        br#"{"result":[1,2.5,null,"x"],"nested":{"a":{"b":[]}}}"#.to_vec(),
        b"\"text\"".to_vec(),
    ]
}

pub fn answer(data: &[u8]) -> bool {
    with_server(data, |runtime, host, _| {
        let caller = Caller::default();
        let got = runtime.block_on(host.execute("t", &caller, json!({})));
        match (got, serde_json::from_slice::<Value>(data)) {
            (Ok(got), Ok(expected)) => {
                assert_eq!(got, expected, "the answer is another");
                true
            }
            (Ok(got), Err(_)) => panic!("an answer out of nothing: {got}"),
            (Err(error), Ok(_)) => panic!("a sound answer is refused: {error}"),
            (Err(_), Err(_)) => false,
        }
    })
}

pub fn chat_seeds() -> Vec<Vec<u8>> {
    let stream = |deltas: &[Value]| {
        let mut text = String::new();
        for delta in deltas {
            let chunk = json!({"choices": [{"index": 0, "delta": delta}]});
            text.push_str(&format!("data: {chunk}\n\n"));
        }
        text.push_str("data: [DONE]\n\n");
        text.into_bytes()
    };
    let call = json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function",
        "function": {"name": "calculator", "arguments": "{\"expression\""}}]});
    let rest = json!({"tool_calls": [{"index": 0, "function": {"arguments": ": \"1+1\"}"}}]});
    let whole = json!({"choices": [{"message": {"role": "assistant", "content": "hello"}}]});
    vec![
        stream(&[json!({"content": "Hel"}), json!({"content": "lo."})]),
        stream(&[call, rest]),
        format!("data: {whole}\n\ndata: [DONE]\n\n").into_bytes(),
    ]
}

pub fn chat(data: &[u8]) -> bool {
    with_server(data, |runtime, _, model| {
        let mut written = String::new();
        let mut on_text = |text: &str| written.push_str(text);
        let messages = [json!({"role": "user", "content": "x"})];
        let Ok(turn) = runtime.block_on(model.turn(&messages, &[], &mut on_text)) else {
            return false;
        };
        assert_eq!(turn.text, written, "what was shown is not what was said");
        assert!(turn.text.len() <= 256 * 1024 && turn.calls.len() <= 16);
        for call in &turn.calls {
            assert!(!call.name.is_empty() && !call.id.is_empty());
            assert!(call.arguments.len() <= 256 * 1024);
        }
        true
    })
}
