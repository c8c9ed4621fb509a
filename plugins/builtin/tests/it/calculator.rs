//! `calculator` through the host.

use crate::{call, host};
use serde_json::json;

#[tokio::test]
async fn answers_with_the_result() {
    let answer = call("calculator", json!({"expression": "15% of 80"}))
        .await
        .unwrap();
    assert_eq!(answer, json!({"expression": "15% of 80", "result": 12}));
    let answer = call("calculator", json!({"expression": "1/4"}))
        .await
        .unwrap();
    assert_eq!(answer["result"], json!(0.25));
}

#[tokio::test]
async fn impossible_results_are_errors() {
    for expression in ["1/0", "sqrt(-1)", "10^400", "2 +"] {
        let error = call("calculator", json!({"expression": expression}))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), "failed", "{expression}: {error}");
    }
}

#[tokio::test]
async fn parameters_are_checked() {
    for parameters in [
        json!({}),
        json!({"expression": 3}),
        json!({"expression": ""}),
        json!([]),
    ] {
        let error = call("calculator", parameters).await.unwrap_err();
        assert_eq!(error.kind(), "invalid_parameters");
    }
}

#[tokio::test]
async fn tools_register_once() {
    let host = host();
    assert_eq!(host.list().len(), 2);
    assert!(host.list().iter().all(|spec| spec.annotations.read_only));
    assert_eq!(
        pagi_builtin_tools::register_all(&host).unwrap_err().kind(),
        "denied"
    );
}
