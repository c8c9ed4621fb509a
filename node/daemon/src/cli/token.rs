//! `pagi token`.

use serde_json::json;

use super::Context;

/// Prints the control token.
pub fn token(ctx: &Context) -> anyhow::Result<()> {
    let token = ctx.token()?;
    ctx.show(&json!({ "token": token }), || token.clone())
}
