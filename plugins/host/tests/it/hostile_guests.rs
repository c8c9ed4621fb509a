//! Guests that break the rules: each ends in the error that names what it did, and the host goes
//! on to serve a good call.

use crate::{Bench, ECHO_RUN, GOOD_RUN, guest, guest_importing};
use pagi_plugin_host::{Caller, HostConfig, ToolError};
use serde_json::json;
use std::time::Duration;

const REGISTER: &str =
    r#"(import "pagi" "register_tool" (func $reg (param i32 i32 i32 i32 i32 i32)))"#;

fn run(body: &str) -> String {
    guest(&format!(
        r#"(func (export "run") (param i32 i32) (result i64) {body})"#
    ))
}

fn small(config: &mut HostConfig) {
    config.wasm.fuel = 20_000_000;
    config.wasm.max_memory_bytes = 1 << 20;
    config.wasm.max_result_bytes = 4 << 10;
}

async fn still_serves(bench: &Bench) {
    let _ = bench.host.unregister("good");
    bench.register_wat("good", &guest(GOOD_RUN)).await.unwrap();
    assert_eq!(bench.call("good").await.unwrap(), json!({"ok": true}));
}

#[tokio::test]
async fn good_guests_work() {
    let bench = Bench::new(small);
    still_serves(&bench).await;
    bench.register_wat("echo", &guest(ECHO_RUN)).await.unwrap();
    assert_eq!(bench.call("echo").await.unwrap(), json!({"text": "hello"}));
    let text = "ü\n\"".repeat(100);
    let answer = bench
        .host
        .execute("echo", &Caller::default(), json!({"x": text}))
        .await
        .unwrap();
    assert_eq!(answer["x"], json!(text));
}

#[tokio::test]
async fn calls_end_in_the_error_that_fits() {
    let cases = [
        (
            "endless_loop",
            run("(loop $l (br $l)) unreachable"),
            "out_of_fuel",
        ),
        (
            "memory_bomb",
            run(
                "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) \
                 unreachable",
            ),
            "out_of_memory",
        ),
        (
            "memory_bomb_that_loops",
            run("(loop $l (drop (memory.grow (i32.const 1))) (br $l)) unreachable"),
            "out_of_memory",
        ),
        (
            "table_bomb",
            guest(
                r#"(table $t 1 funcref)
                   (func (export "run") (param i32 i32) (result i64)
                     (drop (table.grow $t (ref.null func) (i32.const 1000000))) unreachable)"#,
            ),
            "out_of_memory",
        ),
        ("traps", run("unreachable"), "trap"),
        (
            "divides_by_zero",
            run("(i64.div_u (i64.const 1) (i64.const 0))"),
            "trap",
        ),
        (
            "reads_out_of_bounds",
            run("(i64.load (i32.const 0x7fffffff))"),
            "trap",
        ),
        (
            "deep_recursion",
            guest(
                r#"(func $run (export "run") (param i32 i32) (result i64) (call $run (local.get 0) (local.get 1)))"#,
            ),
            "trap",
        ),
        (
            "pointer_out_of_bounds",
            run("(i64.const 0x7fffffff_00000004)"),
            "bad_guest",
        ),
        (
            "pointer_at_the_end",
            run("(i64.const 0x0000ffff_00000004)"),
            "bad_guest",
        ),
        (
            "huge_length",
            run("(i64.const 0x00000040_7fffffff)"),
            "bad_guest",
        ),
        ("negative_length", run("(i64.const -1)"), "bad_guest"),
        (
            "long_result",
            run("(i64.const 0x00000000_00002000)"),
            "response_too_large",
        ),
        ("empty_result", run("(i64.const 0)"), "not_json"),
        (
            "zero_bytes",
            run("(i64.const 0x00000400_00000004)"),
            "not_json",
        ),
        (
            "invalid_utf8",
            guest(
                r#"(data (i32.const 200) "\"\ff\fe\"")
                   (func (export "run") (param i32 i32) (result i64) (i64.const 0xc8_0000_0004))"#,
            ),
            "not_json",
        ),
        (
            "half_json",
            guest(
                r#"(data (i32.const 200) "{\"a\":")
                   (func (export "run") (param i32 i32) (result i64) (i64.const 0xc8_0000_0005))"#,
            ),
            "not_json",
        ),
        (
            "deep_json",
            guest(
                r#"(func (export "run") (param i32 i32) (result i64)
                     (memory.fill (i32.const 2048) (i32.const 0x5b) (i32.const 4000))
                     (i64.const 0x800_0000_0fa0))"#,
            ),
            "not_json",
        ),
        (
            "trap_in_init",
            guest(&format!(r#"(func (export "init") unreachable) {GOOD_RUN}"#)),
            "trap",
        ),
        (
            "endless_init",
            guest(&format!(
                r#"(func (export "init") (loop $l (br $l))) {GOOD_RUN}"#
            )),
            "out_of_fuel",
        ),
        (
            "endless_start",
            guest(&format!(
                r#"(func $s (loop $l (br $l))) (start $s) {GOOD_RUN}"#
            )),
            "out_of_fuel",
        ),
        (
            "alloc_out_of_bounds",
            format!(
                r#"(module (memory (export "memory") 1)
                     (func (export "alloc") (param i32) (result i32) (i32.const -1))
                     (func (export "dealloc") (param i32 i32)) {GOOD_RUN})"#
            ),
            "bad_guest",
        ),
        (
            "alloc_at_the_last_byte",
            format!(
                r#"(module (memory (export "memory") 1)
                     (func (export "alloc") (param i32) (result i32) (i32.const 0xffff))
                     (func (export "dealloc") (param i32 i32)) {GOOD_RUN})"#
            ),
            "bad_guest",
        ),
        (
            "alloc_traps",
            format!(
                r#"(module (memory (export "memory") 1)
                     (func (export "alloc") (param i32) (result i32) unreachable)
                     (func (export "dealloc") (param i32 i32)) {GOOD_RUN})"#
            ),
            "trap",
        ),
        (
            "too_much_memory_from_the_start",
            format!(
                r#"(module (memory (export "memory") 2000)
                     (func (export "alloc") (param i32) (result i32) (i32.const 1024))
                     (func (export "dealloc") (param i32 i32)) {GOOD_RUN})"#
            ),
            "out_of_memory",
        ),
    ];
    let bench = Bench::new(small);
    for (name, wat, want) in cases {
        bench
            .register_wat(name, &wat)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let error = bench.call(name).await.expect_err(name);
        assert_eq!(error.kind(), want, "{name}: {error}");
        still_serves(&bench).await;
    }
}

#[tokio::test]
async fn unusable_modules_are_refused() {
    let cases = [
        (
            "no_memory",
            guest(GOOD_RUN).replace(r#"(export "memory")"#, ""),
            "memory",
        ),
        (
            "no_alloc",
            guest(GOOD_RUN).replace(r#"(export "alloc")"#, ""),
            "alloc",
        ),
        (
            "no_dealloc",
            guest(GOOD_RUN).replace(r#"(export "dealloc")"#, ""),
            "dealloc",
        ),
        ("no_tool", guest(""), "run"),
        (
            "wrong_tool",
            guest(r#"(func (export "run") (param i32) (result i32) (i32.const 0))"#),
            "run",
        ),
        (
            "tool_is_global",
            guest(r#"(global (export "run") i32 (i32.const 1))"#),
            "run",
        ),
        (
            "wrong_init",
            guest(&format!(r#"(func (export "init") (param i32)) {GOOD_RUN}"#)),
            "init",
        ),
        (
            "unknown_import",
            guest_importing(
                r#"(import "env" "system" (func (param i32) (result i32)))"#,
                GOOD_RUN,
            ),
            "env.system",
        ),
        (
            "wasi",
            guest_importing(
                r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#,
                GOOD_RUN,
            ),
            "wasi_snapshot_preview1.fd_write",
        ),
        (
            "wrong_import_type",
            guest_importing(
                r#"(import "pagi" "register_tool" (func (param i32)))"#,
                GOOD_RUN,
            ),
            "register_tool",
        ),
        (
            "memory_import",
            guest_importing(r#"(import "pagi" "register_tool" (global i32))"#, GOOD_RUN),
            "register_tool",
        ),
        (
            "memory64",
            guest(GOOD_RUN).replace(r#""memory") 1"#, r#""memory") i64 1"#),
            "",
        ),
    ];
    let bench = Bench::new(small);
    for (name, wat, want) in cases {
        let error = bench.register_wat(name, &wat).await.expect_err(name);
        assert_eq!(error.kind(), "bad_guest", "{name}: {error}");
        assert!(error.to_string().contains(want), "{name}: {error}");
        assert!(bench.host.get(name).is_none(), "{name}");
        still_serves(&bench).await;
    }
}

#[tokio::test]
async fn files_that_are_no_modules_are_refused() {
    let bench = Bench::new(|config| config.wasm.max_module_bytes = 10_000);
    let module = wat::parse_str(guest(GOOD_RUN)).unwrap();
    for (name, bytes) in [
        ("text", b"(module)".to_vec()),
        ("empty", Vec::new()),
        ("half", module[..module.len() / 2].to_vec()),
        ("elf", b"\x7fELF\x02\x01\x01".to_vec()),
        ("large", [module, vec![0; 10_000]].concat()),
    ] {
        let path = bench.write(&format!("{name}.wasm"), bytes);
        let error = bench
            .host
            .register(crate::wasm_tool(name, &path))
            .await
            .expect_err(name);
        assert_eq!(error.kind(), "bad_guest", "{name}: {error}");
    }
    still_serves(&bench).await;
}

#[tokio::test]
async fn misuse_of_the_host_function_ends_the_call() {
    let bench = Bench::new(small);
    for (name, arguments) in [
        (
            "pointer",
            "(i32.const -8) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)",
        ),
        (
            "length",
            "(i32.const 64) (i32.const -1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)",
        ),
        (
            "long_name",
            "(i32.const 64) (i32.const 65) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)",
        ),
        (
            "description",
            "(i32.const 64) (i32.const 2) (i32.const 65530) (i32.const 7) (i32.const 0) (i32.const 0)",
        ),
        (
            "endpoint",
            "(i32.const 64) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 1)",
        ),
        (
            "utf8",
            "(i32.const 300) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)",
        ),
    ] {
        let wat = guest_importing(
            REGISTER,
            &format!(
                r#"(data (i32.const 300) "\ff\fe")
                   (func (export "init") (call $reg {arguments})) {GOOD_RUN}"#
            ),
        );
        bench.register_wat(name, &wat).await.unwrap();
        let error = bench.call(name).await.expect_err(name);
        assert_eq!(error.kind(), "bad_guest", "{name}: {error}");
        assert!(
            error.to_string().contains("register_tool"),
            "{name}: {error}"
        );
    }
    let flood = guest_importing(
        REGISTER,
        &format!(
            r#"(func (export "init") (loop $l
                 (call $reg (i32.const 64) (i32.const 2) (i32.const 0) (i32.const 0)
                            (i32.const 0) (i32.const 0)) (br $l))) {GOOD_RUN}"#
        ),
    );
    bench.register_wat("flood", &flood).await.unwrap();
    assert_eq!(bench.call("flood").await.unwrap_err().kind(), "bad_guest");
    still_serves(&bench).await;
}

#[tokio::test]
async fn a_guest_that_fails_to_free_loses_nothing() {
    let bench = Bench::new(small);
    let wat = guest(GOOD_RUN).replace(
        r#"(func (export "dealloc") (param i32 i32))"#,
        r#"(func (export "dealloc") (param i32 i32) unreachable)"#,
    );
    bench.register_wat("leaky", &wat).await.unwrap();
    assert_eq!(bench.call("leaky").await.unwrap(), json!({"ok": true}));
}

#[tokio::test]
async fn nothing_outlives_a_call() {
    let bench = Bench::new(small);
    // Answers how often it was called: always once, because each call is a new instance.
    let wat = guest(
        r#"(global $n (mut i32) (i32.const 0))
           (func (export "run") (param i32 i32) (result i64)
             (global.set $n (i32.add (global.get $n) (i32.const 1)))
             (i32.store8 (i32.const 512) (i32.add (i32.const 48) (global.get $n)))
             (i64.const 0x200_0000_0001))"#,
    );
    bench.register_wat("counter", &wat).await.unwrap();
    for _ in 0..3 {
        assert_eq!(bench.call("counter").await.unwrap(), json!(1));
    }
}

#[tokio::test]
async fn the_deadline_stops_what_fuel_does_not() {
    let bench = Bench::new(|config| {
        config.wasm.fuel = u64::MAX;
        config.wasm.deadline = Duration::from_secs(1);
    });
    bench
        .register_wat("endless", &run("(loop $l (br $l)) unreachable"))
        .await
        .unwrap();
    assert_eq!(
        bench.call("endless").await.unwrap_err(),
        ToolError::Timeout { after_ms: 1000 }
    );
    still_serves(&bench).await;
}
