//! The text of a libp2p peer id, checked and brought to one form.
//!
//! Specification: libp2p "Peer Ids and Keys". A peer id is a multihash of a public key, written
//! either as bare base58btc (`12D3Koo…`, `16Uiu2…`, `Qm…`) or as a CIDv1 with codec `libp2p-key`.

use multibase::Base;

/// Multihash code "identity": the key itself.
const IDENTITY: u8 = 0x00;
/// Multihash code "sha2-256".
const SHA2_256: u8 = 0x12;
/// Multicodec `libp2p-key`.
const LIBP2P_KEY: u8 = 0x72;
/// Longest key that is inlined in a peer id, in bytes.
const MAX_INLINE_KEY: usize = 42;
/// No peer id is longer than this, in characters.
const MAX_TEXT: usize = 128;

/// What is wrong with a peer id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerIdError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It is longer than any peer id.
    #[error("it is longer than {MAX_TEXT} characters")]
    TooLong,
    /// A character outside the alphabet, or a broken encoding.
    #[error("it is neither base58btc nor multibase text")]
    Encoding,
    /// A CID of something else than a key.
    #[error("it is a CID, but not one of a libp2p key")]
    NotAKey,
    /// The multihash is cut, too long, or of another kind.
    #[error("it does not hold a whole key or key hash; part of it may be missing")]
    Multihash,
}

/// A peer id in its usual form: the base58btc text of its multihash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerIdText(String);

impl PeerIdText {
    /// Reads a peer id, bare base58btc or CIDv1.
    ///
    /// # Errors
    /// [`PeerIdError`].
    pub fn parse(text: &str) -> Result<Self, PeerIdError> {
        if text.is_empty() {
            return Err(PeerIdError::Empty);
        }
        if text.len() > MAX_TEXT {
            return Err(PeerIdError::TooLong);
        }
        let multihash = if text.starts_with('1') || text.starts_with("Qm") {
            Base::Base58Btc
                .decode(text)
                .map_err(|_| PeerIdError::Encoding)?
        } else {
            let (_, bytes) = multibase::decode(text).map_err(|_| PeerIdError::Encoding)?;
            match bytes.as_slice() {
                [1, LIBP2P_KEY, multihash @ ..] => multihash.to_vec(),
                _ => return Err(PeerIdError::NotAKey),
            }
        };
        let whole = match multihash.as_slice() {
            [IDENTITY, length, key @ ..] => {
                key.len() == usize::from(*length) && (1..=MAX_INLINE_KEY).contains(&key.len())
            }
            [SHA2_256, 32, digest @ ..] => digest.len() == 32,
            _ => false,
        };
        if whole {
            Ok(Self(Base::Base58Btc.encode(multihash)))
        } else {
            Err(PeerIdError::Multihash)
        }
    }

    /// The base58btc text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    const RSA: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
    const RSA_CID: &str = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe";

    #[test]
    fn both_forms_are_read_and_brought_to_one() {
        assert_eq!(PeerIdText::parse(ED25519).unwrap().as_str(), ED25519);
        assert_eq!(PeerIdText::parse(RSA).unwrap().as_str(), RSA);
        assert_eq!(PeerIdText::parse(RSA_CID).unwrap().as_str(), RSA);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cut = ED25519.get(..ED25519.len() - 3).unwrap();
        let cid_of_data = "bafyreigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
        for (text, error) in [
            ("", PeerIdError::Empty),
            (cut, PeerIdError::Multihash),
            ("12D3KooW0OIl", PeerIdError::Encoding),
            ("PEERID", PeerIdError::Encoding),
            (cid_of_data, PeerIdError::NotAKey),
            (&"1".repeat(129), PeerIdError::TooLong),
            ("1", PeerIdError::Multihash),
            ("11", PeerIdError::Multihash),
        ] {
            assert_eq!(PeerIdText::parse(text), Err(error), "{text}");
        }
    }
}
