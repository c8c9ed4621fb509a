//! Values checked by hand, and against plain double arithmetic.

use super::*;
use proptest::prelude::*;

fn value(text: &str) -> f64 {
    evaluate(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn arithmetic() {
    for (text, want) in [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 4 - 3", 3.0),
        ("12 / 4 / 3", 1.0),
        ("12 / 4 * 3", 9.0),
        ("2^3^2", 512.0),
        ("2**10", 1024.0),
        ("-2^2", -4.0),
        ("(-2)^2", 4.0),
        ("2^-1", 0.5),
        ("2*-3^2", -18.0),
        ("--3", 3.0),
        ("10 % 4", 2.0),
        ("-7 mod 3", -1.0),
        ("7 % (5)", 2.0),
        ("1.5e3 + .5", 1500.5),
        ("2E-1", 0.2),
        ("6 ÷ 2 × 4 − 1", 11.0),
    ] {
        assert_eq!(value(text), want, "{text}");
    }
}

#[test]
fn percentages() {
    for (text, want) in [
        ("15% of 80", 12.0),
        ("50%", 0.5),
        ("200 * 5%", 10.0),
        ("100% - 25%", 0.75),
        ("(10 + 5)% of (40 + 40)", 12.0),
        ("10% of 50% of 200", 10.0),
    ] {
        assert!(
            (value(text) - want).abs() < 1e-12,
            "{text} = {}",
            value(text)
        );
    }
}

#[test]
fn functions_and_constants() {
    for (text, want) in [
        ("sqrt(16) + cbrt(27)", 7.0),
        ("min(1, max(2, 3), 4)", 1.0),
        ("max(min(1, 2), min(3, 4))", 3.0),
        ("sin(pi / 2)", 1.0),
        ("ln(e)", 1.0),
        ("LOG10(1000)", 3.0),
        ("log(8, 2)", 3.0),
        ("sum(1, 2, 3)", 6.0),
        ("tau / π", 2.0),
        ("sign(0) + sign(-3)", -1.0),
    ] {
        assert!(
            (value(text) - want).abs() < 1e-12,
            "{text} = {}",
            value(text)
        );
    }
}

#[test]
fn every_listed_function_exists() {
    for name in FUNCTIONS {
        let known = [[0.5].as_slice(), &[0.5, 0.5]]
            .iter()
            .any(|a| apply(name, a).is_ok());
        assert!(known, "{name}");
    }
}

#[test]
fn errors_say_where() {
    for (text, position) in [
        ("", 1),
        ("1 +", 4),
        ("1 / 0", 3),
        ("5 % 0", 3),
        ("(1", 3),
        ("1)", 2),
        ("2 3", 3),
        ("2 x", 3),
        ("1 + foo(2)", 5),
        ("sqrt(-1)", 1),
        ("sqrt 4", 6),
        ("log(4)", 1),
        ("sin(1, 2)", 1),
        ("sin()", 5),
        ("10^400", 3),
        ("1.2.3", 1),
        ("1e999", 1),
        ("é + 1", 1),
        ("π + $", 5),
        ("1; 2", 2),
    ] {
        let error = evaluate(text).expect_err(text);
        assert_eq!(error.position, position, "{text}: {error}");
    }
}

#[test]
fn long_and_deep_input_is_refused() {
    for text in [
        "1".repeat(LONGEST + 1),
        "(".repeat(LONGEST),
        "-".repeat(LONGEST),
        "2^".repeat(LONGEST / 2),
        "abs(".repeat(LONGEST / 4),
    ] {
        assert!(evaluate(&text).is_err());
    }
    assert_eq!(
        value(&format!("{}1{}", "(".repeat(90), ")".repeat(90))),
        1.0
    );
}

/// An expression and its value by plain double arithmetic; `None` once a step overflows.
fn expressions() -> impl Strategy<Value = (String, Option<f64>)> {
    let leaf = prop_oneof![
        (0u32..1000).prop_map(f64::from),
        (0.0f64..1e6),
        (1e-9f64..1e-3),
        (1e100f64..1e300),
    ]
    .prop_map(|x| (format!("{x:e}"), Some(x)));
    leaf.prop_recursive(5, 48, 2, |inner| {
        (inner.clone(), inner, 0usize..6).prop_map(|((a, x), (b, y), which)| {
            let keep = |value: f64| value.is_finite().then_some(value);
            let both = |f: fn(f64, f64) -> f64| x.zip(y).and_then(|(x, y)| keep(f(x, y)));
            match which {
                0 => (format!("({a} + {b})"), both(|x, y| x + y)),
                1 => (format!("({a} - {b})"), both(|x, y| x - y)),
                2 => (format!("({a} * {b})"), both(|x, y| x * y)),
                3 => (format!("({a} / {b})"), both(|x, y| x / y)),
                4 => (format!("(({a}) % ({b}))"), both(|x, y| x % y)),
                _ => (format!("-max({a}, {b})"), both(|x, y| -x.max(y))),
            }
        })
    })
    .prop_filter("short enough", |(text, _)| text.len() <= LONGEST)
}

fn flat() -> impl Strategy<Value = (String, Option<f64>)> {
    (
        0u32..100,
        proptest::collection::vec((prop_oneof![Just('+'), Just('-')], 0u32..100), 0..20),
    )
        .prop_map(|(first, rest)| {
            let mut text = first.to_string();
            let mut value = f64::from(first);
            for (sign, next) in rest {
                text.push_str(&format!(" {sign} {next}"));
                value += if sign == '+' {
                    f64::from(next)
                } else {
                    -f64::from(next)
                };
            }
            (text, Some(value))
        })
}

proptest! {
    #[test]
    fn agrees_with_doubles((text, want) in expressions()) {
        prop_assert_eq!(evaluate(&text).ok(), want, "{}", text);
    }

    #[test]
    fn sums_go_left_to_right((text, want) in flat()) {
        prop_assert_eq!(evaluate(&text).ok(), want, "{}", text);
    }

    #[test]
    fn any_text_is_handled(text in "[-+*/^%(),.0-9a-z π]{0,60}") {
        if let Ok(value) = evaluate(&text) {
            prop_assert!(value.is_finite());
        }
    }
}
