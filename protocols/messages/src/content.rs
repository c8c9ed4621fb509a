//! DAG-CBOR encoding and the CIDs of what was encoded.
//!
//! Every block the swarm shares is CIDv1, codec dag-cbor (0x71), multihash sha2-256.

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use serde::{Serialize, de::DeserializeOwned};

/// The multicodec of DAG-CBOR.
pub const DAG_CBOR: u64 = 0x71;

/// Why a value could not be written as, or read from, DAG-CBOR.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The value has no DAG-CBOR form (for instance NaN or an integer beyond 64 bits).
    #[error("cannot encode as DAG-CBOR: {0}")]
    Encode(String),
    /// The bytes are not strict DAG-CBOR of the wanted shape.
    #[error("not DAG-CBOR of the expected shape: {0}")]
    Decode(String),
    /// The bytes do not hash to the CID they were asked for by.
    #[error("the bytes do not match {0}")]
    WrongHash(Cid),
}

/// Strict DAG-CBOR bytes of `value`.
///
/// # Errors
/// [`ContentError::Encode`].
pub fn to_dag_cbor<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, ContentError> {
    serde_ipld_dagcbor::to_vec(value).map_err(|error| ContentError::Encode(error.to_string()))
}

/// The value in DAG-CBOR `bytes`. Other spellings of the same value pass in part (shorter floats, for
/// one), and unknown members do where the type lets them: what must have one form is compared with its
/// [`to_dag_cbor`].
///
/// # Errors
/// [`ContentError::Decode`].
pub fn from_dag_cbor<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ContentError> {
    serde_ipld_dagcbor::from_slice(bytes).map_err(|error| ContentError::Decode(error.to_string()))
}

/// The CID of DAG-CBOR `bytes`.
#[must_use]
pub fn cid_of(bytes: &[u8]) -> Cid {
    Cid::new_v1(DAG_CBOR, Code::Sha2_256.digest(bytes))
}

/// Checks that `bytes` are what `cid` names.
///
/// # Errors
/// [`ContentError::WrongHash`].
pub fn check_cid(cid: &Cid, bytes: &[u8]) -> Result<(), ContentError> {
    if cid_of(bytes) == *cid {
        Ok(())
    } else {
        Err(ContentError::WrongHash(*cid))
    }
}

/// Serde form of a CID as text (`bafy…`), for messages that stay JSON-compatible.
pub mod cid_text {
    use cid::Cid;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    /// Writes the CID as text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(cid)
    }

    /// Reads a CID from text.
    ///
    /// # Errors
    /// Where the text is not a CID.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
        read(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// A CID has one text here, or one message would have many forms.
    fn read(text: &str) -> Result<Cid, String> {
        let shown = || text.chars().take(128).collect::<String>();
        let cid: Cid = text
            .parse()
            .map_err(|_| format!("`{}` is not a CID", shown()))?;
        if cid.to_string() == text {
            Ok(cid)
        } else {
            Err(format!("`{}` is not the usual text of {cid}", shown()))
        }
    }

    /// The same for a list of CIDs.
    pub mod list {
        use cid::Cid;
        use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

        /// Writes the CIDs as texts.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(cids: &[Cid], serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(cids.iter().map(ToString::to_string))
        }

        /// Reads CIDs from texts.
        ///
        /// # Errors
        /// Where a text is not a CID.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Vec<Cid>, D::Error> {
            Vec::<String>::deserialize(deserializer)?
                .iter()
                .map(|text| super::read(text).map_err(D::Error::custom))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn equal_values_have_equal_cids_whatever_the_key_order() {
        let one = to_dag_cbor(&json!({"b": 1, "aa": [true, null]})).unwrap();
        let two = to_dag_cbor(&json!({"aa": [true, null], "b": 1})).unwrap();
        assert_eq!(one, two);
        let cid = cid_of(&one);
        assert!(cid.to_string().starts_with("bafyrei"));
        assert!(check_cid(&cid, &two).is_ok());
        assert!(check_cid(&cid, b"other").is_err());
        let back: Value = from_dag_cbor(&one).unwrap();
        assert_eq!(back, json!({"aa": [true, null], "b": 1}));
    }

    #[test]
    fn a_cid_has_one_text() {
        #[derive(serde::Deserialize)]
        struct One {
            #[serde(with = "cid_text")]
            cid: Cid,
        }
        let cid = cid_of(b"x");
        let read = |text: &str| serde_json::from_value::<One>(json!({ "cid": text }));
        assert_eq!(read(&cid.to_string()).unwrap().cid, cid);
        let mut other = cid.to_string();
        let last = other.pop().unwrap().to_ascii_uppercase();
        other.push(last);
        assert!(last.is_ascii_digit() || read(&other).is_err(), "{other}");
        let base58 = cid.to_string_of_base(multibase::Base::Base58Btc);
        assert!(read(&base58.unwrap()).is_err());
    }

    #[test]
    fn nan_and_trailing_bytes_are_refused() {
        assert!(to_dag_cbor(&f64::NAN).is_err());
        let mut bytes = to_dag_cbor(&1u8).unwrap();
        bytes.push(0);
        assert!(from_dag_cbor::<u8>(&bytes).is_err());
    }
}
