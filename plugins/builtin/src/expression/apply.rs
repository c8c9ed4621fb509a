//! The functions an expression may call.

/// Their names, in order.
pub(super) const FUNCTIONS: [&str; 28] = [
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "cos", "cosh", "exp", "floor", "hypot",
    "ln", "log", "log10", "log2", "max", "min", "pow", "round", "sign", "sin", "sinh", "sqrt",
    "sum", "tan", "tanh", "trunc",
];

/// Value of a function; the error says what is wrong with its arguments.
pub(super) fn apply(name: &str, arguments: &[f64]) -> Result<f64, &'static str> {
    let value = match (name, arguments) {
        ("abs", [x]) => x.abs(),
        ("acos", [x]) => x.acos(),
        ("asin", [x]) => x.asin(),
        ("atan", [x]) => x.atan(),
        ("atan2", [y, x]) => y.atan2(*x),
        ("cbrt", [x]) => x.cbrt(),
        ("ceil", [x]) => x.ceil(),
        ("cos", [x]) => x.cos(),
        ("cosh", [x]) => x.cosh(),
        ("exp", [x]) => x.exp(),
        ("floor", [x]) => x.floor(),
        ("hypot", [x, y]) => x.hypot(*y),
        ("ln", [x]) => x.ln(),
        ("log", [x, base]) => x.ln() / base.ln(),
        ("log", [_]) => return Err("say ln(x), log10(x) or log(x, base)"),
        ("log10", [x]) => x.log10(),
        ("log2", [x]) => x.log2(),
        ("max", [first, rest @ ..]) => rest.iter().fold(*first, |a, b| a.max(*b)),
        ("min", [first, rest @ ..]) => rest.iter().fold(*first, |a, b| a.min(*b)),
        ("pow", [x, y]) => x.powf(*y),
        ("round", [x]) => x.round(),
        ("sign", [x]) => {
            if *x == 0.0 {
                0.0
            } else {
                x.signum()
            }
        }
        ("sin", [x]) => x.sin(),
        ("sinh", [x]) => x.sinh(),
        ("sqrt", [x]) => x.sqrt(),
        ("sum", values) => values.iter().sum(),
        ("tan", [x]) => x.tan(),
        ("tanh", [x]) => x.tanh(),
        ("trunc", [x]) => x.trunc(),
        _ => return Err("wrong number of arguments"),
    };
    Ok(value)
}
