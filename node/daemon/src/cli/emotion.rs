//! `pagi emotion`.

use clap::Subcommand;
use pagi_api::twins::{Emotion, SetEmotion};

use super::{Context, select::TwinArg};
use crate::{client::encode, render};

/// `pagi emotion …`.
#[derive(Debug, Subcommand)]
pub enum EmotionCommand {
    /// Show a twin's mood
    Get {
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Set a twin's mood
    Set {
        /// A word for the mood, such as calm, content, excited, tense or low
        mood: String,
        /// How strongly: 0 (asleep) to 1 (agitated)
        #[arg(value_parser = level)]
        level: f64,
        #[command(flatten)]
        twin: TwinArg,
    },
}

/// A number is no activation level.
#[derive(Debug, thiserror::Error)]
#[error("the level must be a number from 0 to 1")]
pub struct BadLevel;

fn level(text: &str) -> Result<f64, BadLevel> {
    let level = text.parse::<f64>().map_err(|_| BadLevel)?;
    if (0.0..=1.0).contains(&level) {
        Ok(level)
    } else {
        Err(BadLevel)
    }
}

/// Runs a `pagi emotion` command.
pub async fn emotion(command: EmotionCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let emotion: Emotion = match command {
        EmotionCommand::Get { twin } => {
            let twin = twin.resolve(&client).await?;
            client
                .get(&format!("/emotion/{}", encode(&twin.twin_id)))
                .await?
        }
        EmotionCommand::Set { mood, level, twin } => {
            let twin = twin.resolve(&client).await?;
            let body = SetEmotion {
                mood,
                activation_level: level,
            };
            client
                .post(&format!("/emotion/{}", encode(&twin.twin_id)), &body)
                .await?
        }
    };
    ctx.show(&emotion, || {
        render::fields(&[
            ("mood", render::bold(&render::clean_line(&emotion.mood))),
            ("activation", format!("{:.2}", emotion.activation_level)),
            ("valence", format!("{:+.2}", emotion.valence)),
        ])
    })
}
