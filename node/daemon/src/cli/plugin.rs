//! `pagi plugin`.

use std::path::PathBuf;

use clap::Subcommand;
use pagi_api::tools::{InstallPlugin, Plugin};

use super::{CliError, Context};
use crate::{
    client::encode,
    render::{self, Table},
};

/// `pagi plugin …`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the plugins that were found, loaded or not
    List,
    /// Try a plugin, copy it into the node and load it, now and at every start
    Install {
        /// Its folder, with a manifest.toml
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Take an installed plugin away, and what was allowed of its tools
    Remove {
        /// Its name
        name: String,
    },
}

/// Runs a `pagi plugin` command.
pub async fn plugin(command: PluginCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        PluginCommand::List => {
            let plugins: Vec<Plugin> = client.get("/plugins").await?;
            ctx.show(&plugins, || list(ctx, &plugins))
        }
        PluginCommand::Install { folder } => {
            let path = std::fs::canonicalize(&folder).map_err(|error| {
                CliError::new(
                    format!("cannot use {}: {error}", folder.display()),
                    "name the plugin's folder, the one with its manifest.toml",
                )
            })?;
            let Some(path) = path.to_str().map(str::to_owned) else {
                let cause = format!("the path {} is not text", path.display());
                return Err(CliError::usage(cause, "rename the folder").into());
            };
            let plugin: Plugin = client.post("/plugins", &InstallPlugin { path }).await?;
            ctx.show(&plugin, || {
                let tools: Vec<String> = plugin
                    .tools
                    .iter()
                    .map(|tool| render::clean_line(tool))
                    .collect();
                let allow = tools.first().map_or("NAME", String::as_str);
                format!(
                    "installed {} {} with {}\n{}",
                    render::clean_line(&plugin.name),
                    render::clean_line(&plugin.version),
                    tools.join(", "),
                    render::dim(&format!(
                        "a twin may call it once you say so: pagi tool allow {allow}"
                    ))
                )
            })
        }
        PluginCommand::Remove { name } => {
            let path = format!("/plugins/{}", encode(&name));
            let plugin: Plugin = client.delete(&path).await?;
            ctx.show(&plugin, || {
                format!("removed {}", render::clean_line(&plugin.name))
            })
        }
    }
}

fn list(ctx: &Context, plugins: &[Plugin]) -> String {
    if plugins.is_empty() {
        return "no plugins were found".to_owned();
    }
    let mut table = Table::new(&["PLUGIN", "VERSION", "STATE", "FROM", "TOOLS OR ERROR"]);
    for plugin in plugins {
        let (state, detail) = match &plugin.error {
            None => ("loaded", plugin.tools.join(", ")),
            Some(error) => ("failed", format!("{error} ({})", plugin.path)),
        };
        let from = if plugin.installed {
            "installed"
        } else {
            "folder"
        };
        table.row([
            plugin.name.clone(),
            plugin.version.clone(),
            state.to_owned(),
            from.to_owned(),
            detail,
        ]);
    }
    table.render(ctx.width)
}
