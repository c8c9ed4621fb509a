//! `pagi swarm`.
//!
//! A swarm is made, joined and left in the data directory, whether or not a node runs on it; a node
//! that runs goes on as it is until it is started again. Inviting and revoking take a running node,
//! because its addresses belong into the invitation and the others must hear of a revocation.

use std::path::Path;

use clap::{Args, Subcommand};
use pagi_api::membership::{InvitationView, Membership, NewInvitation, NewRevocation};
use pagi_bootstrap::{Admission, JoinTicket, SwarmGenesis, SwarmKey, SwarmLimits};
use pagi_messages::{Did, SigningIdentity};
use pagi_twin::now_ms;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    CliError, Context,
    key::PassphraseArg,
    swarm_show,
    swarm_task::{SwarmTaskCommand, swarm_task},
    swarm_twins::{TwinsArgs, twins},
};
use crate::{
    passphrase::{self, Source},
    render,
    swarms::{self, KnownSwarm},
};

/// `pagi swarm …`.
#[derive(Debug, Subcommand)]
pub enum SwarmCommand {
    /// Make a swarm, and let this node belong to it from its next start on
    Create(CreateArgs),
    /// Print one string with which another node joins this one's swarm
    Invite(InviteArgs),
    /// Join the swarm of a pagi://join/… string, from this node's next start on
    Join {
        /// What `pagi swarm invite` printed
        link: String,
        /// Leave the swarm this node belongs to for it; what it has of that one stays
        #[arg(long)]
        switch: bool,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
    /// Take invitations back, or put members out: for founders
    Revoke {
        /// A member's DID, an invitation's CID, or the whole pagi://join/… string
        #[arg(required = true, num_args = 1..=16)]
        targets: Vec<String>,
    },
    #[command(flatten)]
    Task(SwarmTaskCommand),
    /// Show the swarm this node belongs to, how it stands there, its members, and who was refused
    #[command(visible_alias = "status")]
    Show,
    /// List the twins of the swarm: where they are, what they can do, and when they were last heard
    Twins(TwinsArgs),
    /// Belong to another swarm that was made or joined before, from this node's next start on
    Switch {
        /// Its network, its id, or its name, as in `pagi swarm list`
        swarm: String,
    },
    /// List the swarms this node made or joined
    List,
    /// Belong to the swarm of the configuration again, from this node's next start on
    Leave {
        /// Also remove its genesis, key and invitation from this machine
        #[arg(long)]
        forget: bool,
    },
}

/// `pagi swarm create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its name: 1 to 32 of a-z, 0-9, - and _
    name: String,
    /// Let in only founders and whoever shows an invitation [default: everybody]
    #[arg(long)]
    invited: bool,
    /// Give it a secret key, without which nobody can even begin to talk to its nodes
    #[arg(long)]
    psk: bool,
    /// Another founder, beside this node: a node's DID; may be given more than once
    #[arg(long, value_name = "DID")]
    founder: Vec<Did>,
    /// The most members
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_members: Option<u32>,
    /// Leave the swarm this node belongs to for it; what it has of that one stays
    #[arg(long)]
    switch: bool,
    #[command(flatten)]
    passphrase: PassphraseArg,
}

/// `pagi swarm invite`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// How long it holds, such as 30m, 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = seconds)]
    expires: u64,
    /// How many different nodes may use it [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
    /// The only node that may use it: its DID
    #[arg(long = "for", value_name = "DID")]
    invitee: Option<Did>,
}

/// A time such as `45s`, `30m`, `12h`, `7d` or `2w`, in seconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time: give one such as 45s, 30m, 12h, 7d or 2w");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(wrong)
}

/// Runs a `pagi swarm` command.
pub async fn swarm(command: SwarmCommand, ctx: &Context) -> anyhow::Result<()> {
    match command {
        SwarmCommand::Create(args) => {
            let before = belongs_to(&ctx.data_dir);
            let swarm = create(args, &ctx.data_dir)?;
            entered("made", &swarm, before, ctx).await
        }
        SwarmCommand::Join {
            link,
            switch,
            passphrase,
        } => {
            let before = belongs_to(&ctx.data_dir);
            let swarm = accept(&link, &ctx.data_dir, &passphrase.source(), switch)?;
            entered("joined", &swarm, before, ctx).await
        }
        SwarmCommand::Switch { swarm } => {
            let before = belongs_to(&ctx.data_dir);
            let swarm = swarms::switch(&ctx.data_dir, &swarm)?;
            entered("back in", &swarm, before, ctx).await
        }
        SwarmCommand::Twins(args) => twins(args, ctx).await,
        SwarmCommand::Invite(args) => {
            let request = NewInvitation {
                expires_s: Some(args.expires),
                uses: args.uses,
                invitee: args.invitee.map(|did| did.to_string()),
            };
            let client = ctx.client()?;
            let invitation: InvitationView = client.post("/swarm/invitations", &request).await?;
            if !ctx.json {
                ctx.note(&conditions(&invitation));
            }
            ctx.show(&invitation, || invitation.link.clone())
        }
        SwarmCommand::Revoke { targets } => {
            let client = ctx.client()?;
            let request = NewRevocation { targets };
            let membership: Membership = client.post("/swarm/revocations", &request).await?;
            ctx.show(&membership, || {
                format!(
                    "revoked; {} in all",
                    render::count(membership.revoked.len(), "revocation")
                )
            })
        }
        SwarmCommand::Task(command) => swarm_task(command, ctx).await,
        SwarmCommand::Show => swarm_show::show(ctx).await,
        SwarmCommand::List => list(ctx),
        SwarmCommand::Leave { forget } => leave(forget, ctx).await,
    }
}

/// This node's key, made where there is none yet.
fn identity(data_dir: &Path, passphrase: &Source) -> Result<SigningIdentity, CliError> {
    let seed = passphrase::open_keys(data_dir, passphrase)?.node_seed();
    seed.map(|seed| SigningIdentity::from_seed(&seed))
        .map_err(|error| {
            CliError::new(
                format!("the node's key: {error}"),
                "restore it from a backup, or choose another --data-dir",
            )
        })
}

fn random() -> [u8; 16] {
    *uuid::Uuid::new_v4().as_bytes()
}

fn create(args: CreateArgs, data_dir: &Path) -> Result<KnownSwarm, CliError> {
    let unusable = CliError::usage(
        format!("`{}` cannot be a swarm's name", args.name.escape_debug()),
        "use 1 to 32 of a-z, 0-9, - and _, starting with a letter or digit",
    );
    if !pagi_messages::wire::is_swarm_name(&args.name) {
        return Err(unusable);
    }
    if !args.switch
        && let Some(current) = belongs_to(data_dir)
    {
        return Err(CliError::new(
            format!("this node belongs to {} already", named(&current)),
            "`pagi swarm invite` lets others into it; `--switch` makes another one and leaves it, \
             and what this node has of it stays",
        ));
    }
    let me = identity(data_dir, &args.passphrase.source())?;
    let mut founders = args.founder;
    founders.push(me.did().clone());
    let playbook = swarms::starter(&args.name)?;
    let start = playbook.check().map_err(|error| {
        CliError::new(
            format!("the starter playbook: {error}"),
            "report this as a bug",
        )
    })?;
    let mut limits = SwarmLimits::default();
    if let Some(most) = args.max_members {
        limits.max_members = most;
    }
    let admission = if args.invited {
        Admission::Invited
    } else {
        Admission::Open
    };
    let genesis = SwarmGenesis::new(
        &args.name,
        founders,
        admission,
        limits,
        start,
        now_ms(),
        random(),
    )
    .and_then(SwarmGenesis::seal)
    .map_err(|error| {
        CliError::usage(
            format!("the swarm cannot be made: {error}"),
            "correct the name, the founders or --max-members",
        )
    })?;
    let key = args.psk.then(|| {
        let mut key = [0; 32];
        // Two UUIDs have twelve bits that are not random: more than enough are.
        key[..16].copy_from_slice(&random());
        key[16..].copy_from_slice(&random());
        SwarmKey::new(key)
    });
    swarms::enter(
        data_dir,
        KnownSwarm {
            block: genesis,
            bootstrap: Vec::new(),
            key,
            invitation: None,
            secret: None,
            playbook,
        },
    )
}

/// Checks a join string and makes its swarm the one this node belongs to from its next start on; in
/// place of another one only with `switch`.
///
/// # Errors
/// [`CliError`] where the string does not hold or would not let this node in, and where the node
/// belongs to another swarm.
pub(crate) fn accept(
    link: &str,
    data_dir: &Path,
    passphrase: &Source,
    switch: bool,
) -> Result<KnownSwarm, CliError> {
    let ticket = JoinTicket::parse(link).map_err(|error| {
        CliError::usage(
            error.to_string(),
            "give the whole string that `pagi swarm invite` printed",
        )
    })?;
    if !switch
        && let Some(current) = belongs_to(data_dir)
        && current.block.id() != ticket.swarm.id()
    {
        return Err(CliError::new(
            format!(
                "this node belongs to {}, and the string leads to another swarm",
                named(&current)
            ),
            "`pagi swarm join --switch` with the string leaves it for that one; what this node has \
             of it stays, and `pagi swarm switch` goes back",
        ));
    }
    let me = identity(data_dir, passphrase)?;
    ticket.check(me.did(), now_ms()).map_err(|refusal| {
        CliError::new(
            format!("the invitation does not let this node in: {refusal}"),
            format!("ask a founder for one for {}", me.did()),
        )
    })?;
    swarms::enter(data_dir, KnownSwarm::from_ticket(ticket)?)
}

/// The swarm this node belongs to, unless that is a name alone. One whose file is damaged stands in
/// nobody's way.
fn belongs_to(data_dir: &Path) -> Option<KnownSwarm> {
    swarms::current(data_dir).ok().flatten()
}

/// A swarm in a sentence: its name and its network, which no other swarm has.
fn named(swarm: &KnownSwarm) -> String {
    format!("{} ({})", swarm.block.genesis().name, swarm.network())
}

pub(super) fn described(swarm: &KnownSwarm) -> Value {
    let genesis = swarm.block.genesis();
    json!({
        "name": genesis.name,
        "network": swarm.network(),
        "id": swarm.block.id().to_string(),
        "admission": genesis.admission,
        "pre_shared_key": swarm.key.is_some(),
        "founders": genesis.founders,
        "max_members": genesis.limits.max_members,
        "invitation": swarm.invitation.is_some(),
        "bootstrap": swarm.bootstrap.iter().map(|address| address.as_str()).collect::<Vec<_>>(),
    })
}

/// Whether a node runs on the data directory.
async fn is_running(ctx: &Context) -> bool {
    match ctx.client() {
        Ok(client) => client.get::<Value>("/status").await.is_ok(),
        Err(_) => false,
    }
}

pub(super) fn next_step(running: bool) -> &'static str {
    if running {
        "the running node goes on in its present swarm: stop it (Ctrl-C) and start it again with \
         `pagi up`"
    } else {
        "`pagi up` starts the node there"
    }
}

async fn entered(
    how: &str,
    swarm: &KnownSwarm,
    before: Option<KnownSwarm>,
    ctx: &Context,
) -> anyhow::Result<()> {
    let running = is_running(ctx).await;
    let left = before.filter(|before| before.block.id() != swarm.block.id());
    let mut document = described(swarm);
    document["left"] = json!(left.as_ref().map(KnownSwarm::network));
    document["restart_needed"] = json!(running);
    document["next"] = json!(next_step(running));
    ctx.show(&document, || {
        let genesis = swarm.block.genesis();
        let left = left.map_or_else(String::new, |left| {
            format!(
                "\nleft {}; what this node has of it stays, and `pagi swarm switch {}` goes back",
                named(&left),
                left.network()
            )
        });
        format!(
            "{how} {}, {}\n{}{left}\nnext: {}",
            render::bold(&genesis.name),
            about(swarm),
            swarm.block.id(),
            next_step(running)
        )
    })
}

pub(super) fn about(swarm: &KnownSwarm) -> String {
    let admission = match swarm.block.genesis().admission {
        Admission::Open => "open to everybody",
        Admission::Invited => "by invitation",
    };
    let key = if swarm.key.is_some() {
        ", with a pre-shared key"
    } else {
        ""
    };
    format!("{admission}{key}")
}

/// What the holder of an invitation may do with it, for whoever hands it over.
fn conditions(invitation: &InvitationView) -> String {
    let mut text = match (&invitation.id, &invitation.expires_at) {
        (Some(id), Some(until)) => format!(
            "invitation {id}, until {}",
            render::until(until, OffsetDateTime::now_utc())
        ),
        _ => "the swarm is open: the string only says where it is".to_owned(),
    };
    if let Some(uses) = invitation.uses {
        text.push_str(&format!(", for {}", render::count(uses as usize, "node")));
    }
    if let Some(did) = &invitation.invitee {
        text.push_str(&format!(", for {did} alone"));
    }
    if invitation.secret {
        text.push_str("; whoever reads it can use it");
    }
    text
}

fn list(ctx: &Context) -> anyhow::Result<()> {
    let current = swarms::current(&ctx.data_dir)?.map(|swarm| swarm.network());
    let known = swarms::list(&ctx.data_dir)?;
    let documents: Vec<Value> = known
        .iter()
        .map(|swarm| {
            let mut document = described(swarm);
            document["current"] = json!(Some(swarm.network()) == current);
            document
        })
        .collect();
    ctx.show(&documents, || {
        if known.is_empty() {
            return "no swarm was made or joined: `pagi swarm create NAME` makes one".to_owned();
        }
        let mut table = render::Table::new(&["", "NAME", "NETWORK", "ADMISSION", "ID"]);
        for swarm in &known {
            let mark = if Some(swarm.network()) == current {
                "*"
            } else {
                ""
            };
            table.row([
                mark.to_owned(),
                swarm.block.genesis().name.clone(),
                swarm.network(),
                about(swarm),
                swarm.block.id().to_string(),
            ]);
        }
        table.render(ctx.width)
    })
}

async fn leave(forget: bool, ctx: &Context) -> anyhow::Result<()> {
    let left = swarms::leave(&ctx.data_dir, forget)?.ok_or_else(|| {
        CliError::new(
            "this node belongs to no swarm that was made or joined",
            "`pagi swarm list` shows those there are",
        )
    })?;
    let running = is_running(ctx).await;
    let document = json!({"left": left, "forgotten": forget, "restart_needed": running});
    ctx.show(&document, || {
        let next = if running {
            "\nnext: the running node stays in it until it is stopped"
        } else {
            ""
        };
        let back = if forget {
            String::new()
        } else {
            format!("; `pagi swarm switch {left}` goes back")
        };
        format!("left {left}{back}{next}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, wanted) in [
            ("45s", 45),
            ("30m", 1800),
            ("12h", 43_200),
            ("7d", 604_800),
            ("2w", 1_209_600),
        ] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for bad in [
            "",
            "7",
            "d",
            "0d",
            "-1d",
            "1y",
            "1 d",
            "ü",
            "99999999999999999999w",
        ] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
