//! `pagi plugin`.

use clap::Subcommand;
use pagi_api::tools::Plugin;

use super::Context;
use crate::render::Table;

/// `pagi plugin …`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the plugins that were found, loaded or not
    List,
}

/// Runs a `pagi plugin` command.
pub async fn plugin(command: PluginCommand, ctx: &Context) -> anyhow::Result<()> {
    let PluginCommand::List = command;
    let plugins: Vec<Plugin> = ctx.client()?.get("/plugins").await?;
    ctx.show(&plugins, || {
        if plugins.is_empty() {
            return "no plugins were found".to_owned();
        }
        let mut table = Table::new(&["PLUGIN", "VERSION", "STATE", "TOOLS OR ERROR"]);
        for plugin in &plugins {
            let (state, detail) = match &plugin.error {
                None => ("loaded", plugin.tools.join(", ")),
                Some(error) => ("failed", format!("{error} ({})", plugin.path)),
            };
            table.row([
                plugin.name.clone(),
                plugin.version.clone(),
                state.to_owned(),
                detail,
            ]);
        }
        table.render(ctx.width)
    })
}
