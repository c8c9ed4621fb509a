//! The change of a key: a statement that the old and the new key both sign.
//!
//! The old key says who comes after it, and the new one that it is there and wants to be. Neither can
//! be named without taking part.

use serde::{Deserialize, Serialize};

use crate::{
    content::ContentError,
    did::{Did, SigningIdentity},
    signed::{Domain, Signed, SignedError, Verified},
};

/// What a rotation says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The DID that is given up.
    pub old: Did,
    /// The DID that takes its place.
    pub new: Did,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Domain for Rotation {
    const DOMAIN: &'static str = "key-rotation/1";
}

/// A rotation as it travels, not checked yet: see [`RotationStatement::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationStatement {
    /// Signed by the old key.
    pub by_old: Signed<Rotation>,
    /// The same, signed by the new key.
    pub by_new: Signed<Rotation>,
}

/// Why a statement of rotation does not hold.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// A signature is wrong.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// The two halves do not say the same.
    #[error("the old and the new key do not say the same")]
    Halves,
    /// A half is signed by another key than the one it names.
    #[error("the statement is not signed by the old and by the new key")]
    Signers,
    /// A key cannot follow itself.
    #[error("the old and the new key are the same")]
    SameKey,
}

impl RotationStatement {
    /// Makes the statement that `new` takes the place of `old`.
    ///
    /// # Errors
    /// [`ContentError`] where the statement has no canonical form; never in practice.
    pub fn make(
        old: &SigningIdentity,
        new: &SigningIdentity,
        at_ms: u64,
    ) -> Result<Self, ContentError> {
        let rotation = Rotation {
            old: old.did().clone(),
            new: new.did().clone(),
            at_ms,
        };
        Ok(Self {
            by_old: Verified::sign(old, rotation.clone())?.into_signed(),
            by_new: Verified::sign(new, rotation)?.into_signed(),
        })
    }

    /// Checks both halves.
    ///
    /// # Errors
    /// [`RotationError`].
    pub fn verify(&self) -> Result<Rotation, RotationError> {
        let rotation = &self.by_old.body;
        if *rotation != self.by_new.body {
            return Err(RotationError::Halves);
        }
        if rotation.old == rotation.new {
            return Err(RotationError::SameKey);
        }
        if self.by_old.author != rotation.old || self.by_new.author != rotation.new {
            return Err(RotationError::Signers);
        }
        self.by_old.clone().verify()?;
        self.by_new.clone().verify()?;
        Ok(rotation.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_keys_must_say_the_same_of_themselves() {
        let key = |n: u8| SigningIdentity::from_seed(&[n; 32]);
        let (old, new, thief) = (key(1), key(2), key(3));
        let good = RotationStatement::make(&old, &new, 7).unwrap();
        let rotation = good.verify().unwrap();
        assert_eq!((&rotation.old, &rotation.new), (old.did(), new.did()));

        // The old key alone, the new one alone, and a third in the place of either.
        let mut half = good.clone();
        half.by_new = half.by_old.clone();
        assert!(matches!(half.verify(), Err(RotationError::Signers)));
        let mut half = good.clone();
        half.by_old = half.by_new.clone();
        assert!(matches!(half.verify(), Err(RotationError::Signers)));
        let other = RotationStatement::make(&thief, &new, 7).unwrap();
        let mut mixed = good.clone();
        mixed.by_old = other.by_old.clone();
        assert!(matches!(mixed.verify(), Err(RotationError::Halves)));
        mixed.by_old = good.by_old.clone();
        mixed.by_old.signature = other.by_old.signature;
        assert!(matches!(mixed.verify(), Err(RotationError::Signed(_))));
        let same = RotationStatement::make(&old, &old, 7).unwrap();
        assert!(matches!(same.verify(), Err(RotationError::SameKey)));
        let mut later = good;
        later.by_old.body.at_ms = 8;
        later.by_new.body.at_ms = 8;
        assert!(later.verify().is_err());
    }
}
