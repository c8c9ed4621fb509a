//! What is well formed, and how ids follow content.

use serde_json::json;

use super::*;

fn case() -> Case {
    let parameters = BTreeMap::from([
        ("expression".into(), Fill::Slot("expression".into())),
        (
            "digits".into(),
            Fill::Const(json!({"b": 1, "a": [1.5, "x"]})),
        ),
    ]);
    Case::new(
        ["sum", "Calcul", "sum"].map(String::from),
        vec![CaseStep {
            tool: "calculator".into(),
            parameters,
        }],
    )
}

#[test]
fn ids_follow_content_whatever_the_order() {
    let one = case();
    assert!(one.well_formed(), "{:?}", one.check());
    assert_eq!(one.terms, ["calcul", "sum"]);
    assert!(one.id.starts_with("case-") && one.id.len() == 21);
    let mut two = case();
    let reordered: Value = serde_json::from_str(r#"{"a":[1.5,"x"],"b":1}"#).unwrap();
    two.steps[0]
        .parameters
        .insert("digits".into(), Fill::Const(reordered));
    assert_eq!(two.content_id(), one.id);
    two.steps[0].tool = "other".into();
    assert!(matches!(two.check(), Err(Malformed::WrongId { .. })));
    let bullet = Bullet::new("planning", "  Check units first. ");
    assert!(bullet.well_formed() && bullet.id.starts_with("b-"));
    assert_ne!(bullet.id, Bullet::new("plannin", "gCheck units first.").id);
}

#[test]
fn integers_and_floats_are_different_constants() {
    let with = |value| {
        let parameters = BTreeMap::from([("x".into(), Fill::Const(value))]);
        Case::new(
            ["a".into()],
            vec![CaseStep {
                tool: "t".into(),
                parameters,
            }],
        )
        .id
    };
    let ids: BTreeSet<_> = [
        json!(1),
        json!(1.0),
        json!("1"),
        json!(true),
        json!([1]),
        json!({"1": 1}),
    ]
    .map(with)
    .into();
    assert_eq!(ids.len(), 6);
    // Null is no parameter at all.
    assert_eq!(
        with(Value::Null),
        Case::new(
            ["a".into()],
            vec![CaseStep {
                tool: "t".into(),
                parameters: BTreeMap::new()
            }]
        )
        .id
    );
}

#[test]
fn malformed_cases_are_named() {
    let bend = |change: fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        case.id = case.content_id();
        case.check()
    };
    assert!(bend(|_| {}).is_ok());
    for change in [
        (|c: &mut Case| c.terms.reverse()) as fn(&mut Case),
        |c| c.terms.push("zwei worte".into()),
        |c| c.terms.push("Upper".into()),
        |c| c.terms.clear(),
        |c| c.steps.clear(),
        |c| c.steps[0].tool = "rm -rf".into(),
        |c| {
            c.steps[0]
                .parameters
                .insert("x".into(), Fill::Slot("Bad Slot".into()));
        },
        |c| {
            c.steps[0]
                .parameters
                .insert("x".into(), Fill::Const(json!([null])));
        },
    ] {
        assert!(bend(change).is_err());
    }
}

#[test]
fn fills_have_a_readable_form() {
    assert_eq!(
        serde_json::to_value(Fill::Slot("url".into())).unwrap(),
        json!({"slot": "url"})
    );
    assert_eq!(
        serde_json::to_value(Fill::Const(json!(3))).unwrap(),
        json!({"const": 3})
    );
    let empty: Delta = serde_json::from_str("{}").unwrap();
    assert!(empty.is_empty() && empty.well_formed());
    assert!(serde_json::from_str::<Delta>(r#"{"casses":[]}"#).is_err());
}

#[test]
fn counts_add_one_at_most_and_something() {
    let count = |target: &str, helpful, harmful| {
        Count {
            target: target.into(),
            helpful,
            harmful,
        }
        .check()
    };
    assert!(count("tool:calculator", 1, 0).is_ok());
    assert!(count("b-0123456789abcdef", 1, 1).is_ok());
    for (target, helpful, harmful) in [
        ("tool:calculator", 0, 0),
        ("tool:calculator", 2, 0),
        ("tool:calculator", 0, u32::MAX),
        ("tool:", 1, 0),
        ("calculator", 1, 0),
        ("case-0123456789ABCDEF", 1, 0),
        ("case-short", 1, 0),
    ] {
        assert!(count(target, helpful, harmful).is_err(), "{target}");
    }
}

#[test]
fn protected_settings_are_seen_by_path_and_by_value() {
    let set = |path: &[&str], value: Option<Value>| {
        Setting {
            path: path.iter().map(|&part| part.into()).collect(),
            value,
        }
        .check()
    };
    assert!(
        set(
            &["ace", "curation"],
            Some(json!({"improvement_threshold": 0.1}))
        )
        .is_ok()
    );
    for (path, value) in [
        (vec!["ethics"], None),
        (vec!["ethics", "constitution"], Some(json!("be nice"))),
        (vec![" Ethics"], Some(json!(1))),
        (vec!["learned", "cases"], Some(json!([]))),
        (vec!["sub", "red_lines"], Some(json!([]))),
        (vec!["sub"], Some(json!({"deep": [{"Red-Lines": []}]}))),
    ] {
        assert!(set(&path, value).is_err(), "{path:?}");
    }
    assert!(matches!(
        set(&["ethics", "x"], None),
        Err(Malformed::Protected { .. })
    ));
    for path in [vec![], vec![""], vec!["a\n"], vec!["a"; 9]] {
        assert!(set(&path, None).is_err());
    }
    assert!(set(&["a"], Some(Value::Null)).is_err());
    assert!(set(&["a"], Some(json!(u64::MAX))).is_err());
}
