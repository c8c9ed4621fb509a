//! Receipts: the recipient's own word that a packed message is in store, or will never be taken.
//!
//! A node that only says it has the recipient cannot give one, for it takes the recipient's key. A
//! receipt names the very bytes it is for.

use pagi_messages::{
    Did, Domain, Signed, SignedError, SigningIdentity, Verified, cid_of, content::ContentError,
};
use serde::{Deserialize, Serialize};

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Fate {
    /// It is in store, now or from an earlier time.
    Stored,
    /// It will never be taken.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What became of the message with these bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The CID of the packed message.
    pub packed: String,
    /// What became of it.
    pub fate: Fate,
}

impl Domain for Receipt {
    const DOMAIN: &'static str = "didcomm-receipt/1";
}

/// Why a receipt is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Somebody else gave it.
    #[error("the receipt is signed by {0} and not by the recipient")]
    Foreign(Did),
    /// It is for another message.
    #[error("the receipt is for another message")]
    OtherMessage,
    /// Its signature is wrong.
    #[error(transparent)]
    Signed(#[from] SignedError),
}

impl Receipt {
    /// The receipt of `recipient` for the packed message.
    ///
    /// # Errors
    /// [`ContentError`] where it has no canonical form; never in practice.
    pub fn give(
        recipient: &SigningIdentity,
        packed: &str,
        fate: Fate,
    ) -> Result<Signed<Self>, ContentError> {
        let receipt = Self {
            packed: cid_of(packed.as_bytes()).to_string(),
            fate,
        };
        Ok(Verified::sign(recipient, receipt)?.into_signed())
    }

    /// What became of the packed message, by the word of `recipient`.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn check(
        receipt: Signed<Self>,
        recipient: &Did,
        packed: &str,
    ) -> Result<Fate, ReceiptError> {
        if receipt.author != *recipient {
            return Err(ReceiptError::Foreign(receipt.author));
        }
        if receipt.body.packed != cid_of(packed.as_bytes()).to_string() {
            return Err(ReceiptError::OtherMessage);
        }
        Ok(receipt.verify()?.into_signed().body.fate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_recipient_gives_a_receipt_and_for_one_message() {
        let (bob, eve) = (
            SigningIdentity::from_seed(&[1; 32]),
            SigningIdentity::from_seed(&[2; 32]),
        );
        let good = Receipt::give(&bob, "packed", Fate::Stored).unwrap();
        let fate = Receipt::check(good.clone(), bob.did(), "packed").unwrap();
        assert_eq!(fate, Fate::Stored);
        assert!(matches!(
            Receipt::check(good.clone(), bob.did(), "other"),
            Err(ReceiptError::OtherMessage)
        ));
        let foreign = Receipt::give(&eve, "packed", Fate::Stored).unwrap();
        assert!(matches!(
            Receipt::check(foreign.clone(), bob.did(), "packed"),
            Err(ReceiptError::Foreign(_))
        ));
        let forged = Signed {
            author: bob.did().clone(),
            ..foreign
        };
        assert!(matches!(
            Receipt::check(forged, bob.did(), "packed"),
            Err(ReceiptError::Signed(_))
        ));
        let mut turned = good;
        turned.body.fate = Fate::Refused { reason: "x".into() };
        assert!(Receipt::check(turned, bob.did(), "packed").is_err());
    }
}
