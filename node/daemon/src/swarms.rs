//! The swarms a data directory knows, as files: they can be made, joined and left while no node runs.
//!
//! `swarms/NETWORK.swarm` (mode 0600, for it may hold a key) has the swarm's genesis, key, addresses
//! and this node's invitation as the one string of a join ticket, and the block its playbook starts
//! from. `swarms/current` names the one the node belongs to; without it the node belongs to the
//! swarm its configuration names. A file is written beside its place, synced and renamed, so that a
//! crash leaves the old one or the new one.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pagi_bootstrap::Invitation;
use pagi_bootstrap::{
    BootstrapAddress, JoinTicket, MAX_TICKET_ADDRESSES, SwarmBlock, SwarmKey, SwarmRef,
};
use pagi_messages::{Signed, content::from_dag_cbor};
use pagi_playbook::Genesis;
use serde::{Deserialize, Serialize};

use crate::cli::CliError;

const DIR: &str = "swarms";
const CURRENT: &str = "current";
const EXTENSION: &str = "swarm";

/// A swarm this node made or was invited to.
#[derive(Clone)]
pub struct KnownSwarm {
    /// What the swarm is.
    pub block: SwarmBlock,
    /// Whom to dial.
    pub bootstrap: Vec<BootstrapAddress>,
    /// The swarm's pre-shared key.
    pub key: Option<SwarmKey>,
    /// What lets this node in.
    pub invitation: Option<Signed<Invitation>>,
    /// What shows that this node holds the invitation, where that has a key.
    pub secret: Option<SwarmKey>,
    /// What its playbook starts from.
    pub playbook: Genesis,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    ticket: String,
    playbook: String,
}

/// Why a swarm's file cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Form(String),
}

fn form(error: impl std::fmt::Display) -> Unusable {
    Unusable::Form(error.to_string())
}

impl KnownSwarm {
    /// The name in topics, protocols and file names.
    #[must_use]
    pub fn network(&self) -> String {
        self.block.network_name()
    }

    fn ticket(&self) -> JoinTicket {
        JoinTicket {
            bootstrap: self.bootstrap.clone(),
            swarm: SwarmRef::Block(Box::new(self.block.clone())),
            psk: self.key.clone(),
            invitation: self.invitation.clone(),
            secret: self.secret.clone(),
        }
    }

    /// What a ticket leads to.
    ///
    /// # Errors
    /// [`CliError`] where the ticket names a swarm without saying what it is, or one whose playbook
    /// starts from something this program does not have.
    pub fn from_ticket(ticket: JoinTicket) -> Result<Self, CliError> {
        let SwarmRef::Block(block) = ticket.swarm else {
            return Err(CliError::new(
                format!(
                    "the invitation names the swarm {} but does not say what it is",
                    ticket.swarm.id()
                ),
                "ask for one that `pagi swarm invite` printed: it has the whole genesis",
            ));
        };
        let playbook = starter(&block.genesis().name)?;
        let found = playbook.check().map_err(|error| starter_error(&error))?;
        if found != block.genesis().playbook {
            return Err(CliError::new(
                format!(
                    "the swarm's playbook starts from {}, which this release of pagi does not have",
                    block.genesis().playbook
                ),
                "use the release of pagi its founder made it with",
            ));
        }
        Ok(Self {
            block: *block,
            bootstrap: ticket.bootstrap,
            key: ticket.psk,
            invitation: ticket.invitation,
            secret: ticket.secret,
            playbook,
        })
    }

    /// Writes it down, durably.
    ///
    /// # Errors
    /// [`CliError`] where the file cannot be written.
    pub fn save(&self, data_dir: &Path) -> Result<(), CliError> {
        let path = file(data_dir, &self.network());
        let write = || -> Result<(), Unusable> {
            let (_, playbook) = self.playbook.block().map_err(form)?;
            let stored = Stored {
                ticket: self.ticket().to_link().map_err(form)?,
                playbook: STANDARD.encode(playbook),
            };
            let text = toml::to_string(&stored).map_err(form)?;
            Ok(write_file(&path, text.as_bytes())?)
        };
        write().map_err(|error| cannot_write(&path, &error))
    }

    fn load(path: &Path) -> Result<Self, CliError> {
        let read = || -> Result<Self, Unusable> {
            let stored: Stored = toml::from_str(&fs::read_to_string(path)?).map_err(form)?;
            let ticket = JoinTicket::parse(&stored.ticket).map_err(form)?;
            let playbook: Genesis =
                from_dag_cbor(&STANDARD.decode(&stored.playbook).map_err(form)?).map_err(form)?;
            let SwarmRef::Block(block) = ticket.swarm else {
                return Err(Unusable::Form("the genesis is missing".to_owned()));
            };
            if playbook.check().map_err(form)? != block.genesis().playbook {
                return Err(Unusable::Form(
                    "the playbook is not the genesis's".to_owned(),
                ));
            }
            Ok(Self {
                block: *block,
                bootstrap: ticket.bootstrap,
                key: ticket.psk,
                invitation: ticket.invitation,
                secret: ticket.secret,
                playbook,
            })
        };
        read().map_err(|error| {
            CliError::new(
                format!("{} cannot be used: {error}", path.display()),
                "join again with `pagi swarm join`, or go back to another with `pagi swarm leave`",
            )
        })
    }
}

/// What the playbook of a swarm of this name starts from.
///
/// # Errors
/// [`CliError`] where the starter playbook does not hold, which is a fault of the program.
pub fn starter(name: &str) -> Result<Genesis, CliError> {
    Genesis::from_toml(name, pagi_playbooks::BASE).map_err(|error| starter_error(&error))
}

fn starter_error(error: &dyn std::fmt::Display) -> CliError {
    CliError::new(
        format!("the starter playbook: {error}"),
        "report this as a bug",
    )
}

fn dir(data_dir: &Path) -> PathBuf {
    data_dir.join(DIR)
}

fn file(data_dir: &Path, network: &str) -> PathBuf {
    dir(data_dir).join(network).with_extension(EXTENSION)
}

/// The swarm this node belongs to, unless it belongs to one by its name alone.
///
/// # Errors
/// [`CliError`] where its file is missing or cannot be used.
pub fn current(data_dir: &Path) -> Result<Option<KnownSwarm>, CliError> {
    let pointer = dir(data_dir).join(CURRENT);
    let network = match fs::read_to_string(&pointer) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(CliError::new(
                format!("cannot read {}: {error}", pointer.display()),
                "check the rights of the data directory",
            ));
        }
    };
    if !pagi_messages::wire::is_swarm_name(&network) {
        return Err(CliError::new(
            format!("{} names no swarm", pointer.display()),
            "choose one again with `pagi swarm join`, or go back with `pagi swarm leave`",
        ));
    }
    KnownSwarm::load(&file(data_dir, &network)).map(Some)
}

/// Every swarm known, by network name.
///
/// # Errors
/// [`CliError`] where a file cannot be used.
pub fn list(data_dir: &Path) -> Result<Vec<KnownSwarm>, CliError> {
    let place = dir(data_dir);
    let entries = match fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(CliError::new(
                format!("cannot read {}: {error}", place.display()),
                "check the rights of the data directory",
            ));
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == EXTENSION))
        .collect();
    paths.sort();
    paths.iter().map(|path| KnownSwarm::load(path)).collect()
}

/// The known swarm that `name` names: by its network name, or by its CID.
///
/// # Errors
/// As [`list`].
pub fn find(data_dir: &Path, name: &str) -> Result<Option<KnownSwarm>, CliError> {
    Ok(list(data_dir)?
        .into_iter()
        .find(|swarm| swarm.network() == name || swarm.block.id().to_string() == name))
}

/// Makes `swarm` the one this node belongs to from its next start on. Addresses of an earlier ticket
/// are kept behind the new ones; an invitation is replaced only by another.
///
/// # Errors
/// [`CliError`] where it cannot be written down.
pub fn enter(data_dir: &Path, mut swarm: KnownSwarm) -> Result<KnownSwarm, CliError> {
    let place = dir(data_dir);
    make_private(data_dir)
        .and_then(|()| make_private(&place))
        .map_err(|error| cannot_write(&place, &error))?;
    let network = swarm.network();
    if let Ok(before) = KnownSwarm::load(&file(data_dir, &network)) {
        for address in before.bootstrap {
            if swarm.bootstrap.len() < MAX_TICKET_ADDRESSES && !swarm.bootstrap.contains(&address) {
                swarm.bootstrap.push(address);
            }
        }
        if swarm.invitation.is_none() {
            (swarm.invitation, swarm.secret) = (before.invitation, before.secret);
        }
        swarm.key = swarm.key.or(before.key);
    }
    swarm.save(data_dir)?;
    let pointer = place.join(CURRENT);
    write_file(&pointer, format!("{network}\n").as_bytes())
        .map_err(|error| cannot_write(&pointer, &error))?;
    Ok(swarm)
}

/// Makes a known swarm, named as for [`find`] or by a name that only it has, the one this node belongs
/// to from its next start on.
///
/// # Errors
/// [`CliError`] where none or several are called so, and as [`enter`].
pub fn switch(data_dir: &Path, name: &str) -> Result<KnownSwarm, CliError> {
    const LIST: &str = "`pagi swarm list` shows the swarms this node made or joined";
    if let Some(swarm) = find(data_dir, name)? {
        return enter(data_dir, swarm);
    }
    let mut called: Vec<KnownSwarm> = list(data_dir)?
        .into_iter()
        .filter(|swarm| swarm.block.genesis().name == name)
        .collect();
    match (called.pop(), called.len()) {
        (Some(swarm), 0) => enter(data_dir, swarm),
        (Some(_), others) => Err(CliError::usage(
            format!("{} swarms are called `{name}`", others + 1),
            format!("give its network, such as crew-abc…: {LIST}"),
        )),
        (None, _) => Err(CliError::new(
            format!(
                "this node made or joined no swarm `{}`",
                name.escape_debug()
            ),
            LIST,
        )),
    }
}

/// Lets the node belong to the swarm its configuration names, from its next start on; `forget` also
/// removes what is known of the one it leaves. Gives the one it leaves.
///
/// # Errors
/// [`CliError`] where the files cannot be removed.
pub fn leave(data_dir: &Path, forget: bool) -> Result<Option<String>, CliError> {
    let pointer = dir(data_dir).join(CURRENT);
    let Ok(network) = fs::read_to_string(&pointer) else {
        return Ok(None);
    };
    let network = network.trim().to_owned();
    let mut gone = vec![pointer];
    if forget && pagi_messages::wire::is_swarm_name(&network) {
        gone.push(file(data_dir, &network));
    }
    for path in gone {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_write(&path, &error)),
        }
    }
    sync(&dir(data_dir)).map_err(|error| cannot_write(&dir(data_dir), &error))?;
    Ok(Some(network))
}

fn cannot_write(path: &Path, error: &dyn std::fmt::Display) -> CliError {
    CliError::new(
        format!("cannot write {}: {error}", path.display()),
        "check the rights of the data directory, or choose one with --data-dir",
    )
}

fn make_private(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync(path.parent().unwrap_or(path))
}

fn sync(dir: &Path) -> io::Result<()> {
    match fs::File::open(dir) {
        Ok(dir) => dir.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use pagi_bootstrap::{Admission, SwarmGenesis, SwarmLimits};
    use pagi_messages::SigningIdentity;

    use super::*;

    fn swarm(nonce: u8) -> KnownSwarm {
        let playbook = starter("crew").unwrap();
        let founder = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let genesis = SwarmGenesis::new(
            "crew",
            vec![founder],
            Admission::Invited,
            SwarmLimits::default(),
            playbook.check().unwrap(),
            1,
            [nonce; 16],
        );
        KnownSwarm {
            block: genesis.unwrap().seal().unwrap(),
            bootstrap: Vec::new(),
            key: Some(SwarmKey::new([7; 32])),
            invitation: None,
            secret: None,
            playbook,
        }
    }

    #[test]
    fn a_swarm_is_found_again_and_two_of_one_name_are_two() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        assert!(current(&data).unwrap().is_none() && list(&data).unwrap().is_empty());
        let (one, two) = (swarm(1), swarm(2));
        enter(&data, one.clone()).unwrap();
        enter(&data, two.clone()).unwrap();
        assert_eq!(list(&data).unwrap().len(), 2);
        let found = current(&data).unwrap().unwrap();
        assert_eq!(found.block.id(), two.block.id());
        assert_eq!(found.key.unwrap().as_bytes(), &[7; 32]);
        for name in [one.network(), one.block.id().to_string()] {
            let found = find(&data, &name).unwrap().unwrap();
            assert_eq!(found.block.id(), one.block.id());
        }
        assert!(find(&data, "crew").unwrap().is_none());
        let several = switch(&data, "crew").err().unwrap();
        assert_eq!(several.code, 2, "{several:?}");
        assert!(several.cause.contains("2 swarms"), "{several:?}");
        switch(&data, &one.network()).unwrap();
        let found = current(&data).unwrap().unwrap();
        assert_eq!(found.block.id(), one.block.id());
        assert!(switch(&data, "no-such").is_err());
        switch(&data, &two.block.id().to_string()).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file(&data, &two.network())), 0o600);
        assert_eq!(mode(dir(&data)), 0o700);

        assert_eq!(leave(&data, true).unwrap(), Some(two.network()));
        assert!(current(&data).unwrap().is_none());
        assert_eq!(list(&data).unwrap().len(), 1);
        assert_eq!(leave(&data, true).unwrap(), None);
        let only = switch(&data, "crew").unwrap();
        assert_eq!(only.block.id(), one.block.id());
        assert_eq!(only.key.unwrap().as_bytes(), &[7; 32], "nothing is lost");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let home = tempfile::tempdir().unwrap();
        let one = enter(home.path(), swarm(1)).unwrap();
        let path = file(home.path(), &one.network());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("pagi://join/", "pagi://join/A", 1)).unwrap();
        let error = current(home.path()).err().unwrap();
        assert!(error.cause.contains(&one.network()), "{error:?}");
    }
}
