//! A key that is lost must not be replaced in silence: the store knows whose node this is, and which
//! twins live here.

use std::path::Path;

use pagi_messages::Did;
use pagi_store::Store;
use serde_json::json;

use crate::cli::CliError;

/// The setting that holds the node's DID.
const SETTING: &str = "node_did";

/// Whether the keys of the node and of all twins that `store` names are in `data_dir`.
///
/// # Errors
/// [`CliError`] with the key that is missing and what to do.
pub fn missing(data_dir: &Path, store: &Store) -> Result<(), CliError> {
    let keys = data_dir.join("keys");
    let lost = |file: &Path, whose: String| {
        CliError::new(
            format!("the key {} is missing: {whose}", file.display()),
            "restore the file from a backup; without it, start anew with another --data-dir",
        )
    };
    let node = keys.join("node.key");
    if let Some(did) = known(store)?
        && !node.exists()
    {
        return Err(lost(&node, format!("this node is {did}")));
    }
    for twin in store.list_twins().map_err(|error| unread(&error))? {
        let file = keys.join("twins").join(format!("{}.key", twin.twin_id));
        if !file.exists() {
            return Err(lost(&file, format!("a twin here is {}", twin.did)));
        }
    }
    Ok(())
}

/// Remembers whose node this is, at its first start; later, the key must be the same.
///
/// # Errors
/// [`CliError`] where the key is another one, or the store fails.
pub async fn remember(store: &Store, did: &Did) -> Result<(), CliError> {
    match known(store)? {
        Some(known) if known == did.as_str() => Ok(()),
        Some(known) => Err(CliError::new(
            format!("the node's key is that of {did}, but the data is of {known}"),
            "put the right keys/node.key back, or choose another --data-dir",
        )),
        None => store
            .put_setting(SETTING, json!(did))
            .await
            .map_err(|error| unread(&error)),
    }
}

fn known(store: &Store) -> Result<Option<String>, CliError> {
    let setting = store.get_setting(SETTING).map_err(|error| unread(&error))?;
    Ok(setting.and_then(|did| did.as_str().map(str::to_owned)))
}

fn unread(error: &dyn std::fmt::Display) -> CliError {
    CliError::new(
        format!("the store: {error}"),
        "restore the data directory from a backup",
    )
}
