//! Sealing signed bodies into content-addressed blocks, and opening them again.

use cid::Cid;
use pagi_messages::{
    Domain, Signed, SignedError, Verified, cid_of,
    content::{ContentError, check_cid, from_dag_cbor, to_dag_cbor},
    wire,
};
use serde::{Serialize, de::DeserializeOwned};

/// Why a block could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The block is too large to be looked at.
    #[error("the block has {bytes} bytes, more than {}", wire::MAX_BLOCK_BYTES)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The bytes are not what the CID names, or not DAG-CBOR of the wanted shape.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The bytes are not the one canonical form of what they hold.
    #[error("the block {0} is not in canonical form")]
    NotCanonical(Cid),
    /// The signature is wrong.
    #[error(transparent)]
    Signature(#[from] SignedError),
}

/// The block of a signed body, and its CID.
///
/// # Errors
/// [`ContentError::Encode`].
pub fn seal<T: Serialize>(body: &Verified<T>) -> Result<(Cid, Vec<u8>), ContentError> {
    let bytes = to_dag_cbor(body.as_signed())?;
    Ok((cid_of(&bytes), bytes))
}

/// The signed body in a block, its size, hash, form and signature checked.
///
/// A body has one block: bytes that hold the same body in another form are refused, or the same
/// artifact could count twice under two CIDs.
///
/// # Errors
/// [`BlockError`].
pub fn open<T: Domain + DeserializeOwned>(
    cid: &Cid,
    bytes: &[u8],
) -> Result<Verified<T>, BlockError> {
    if bytes.len() > wire::MAX_BLOCK_BYTES {
        return Err(BlockError::TooLarge { bytes: bytes.len() });
    }
    check_cid(cid, bytes)?;
    let signed: Signed<T> = from_dag_cbor(bytes)?;
    if to_dag_cbor(&signed)? != bytes {
        return Err(BlockError::NotCanonical(*cid));
    }
    Ok(signed.verify()?)
}
