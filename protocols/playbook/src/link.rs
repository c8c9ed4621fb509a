//! Serde form of a CID: a link (tag 42) in DAG-CBOR, text (`bafy…`) in JSON and other readable
//! forms.

use cid::Cid;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A CID in the form that suits the format.
#[derive(Clone, Copy)]
struct Link(Cid);

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&self.0)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse()
                .map(Self)
                .map_err(|_| D::Error::custom(format_args!("`{text}` is not a CID")))
        } else {
            Cid::deserialize(deserializer).map(Self)
        }
    }
}

/// One CID.
pub(crate) mod one {
    use super::{Cid, Deserialize, Deserializer, Link, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
        Link(*cid).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
        Link::deserialize(deserializer).map(|link| link.0)
    }
}

/// A CID or none.
pub(crate) mod option {
    use super::{Cid, Deserialize, Deserializer, Link, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        cid: &Option<Cid>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        cid.map(Link).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Cid>, D::Error> {
        Ok(Option::<Link>::deserialize(deserializer)?.map(|link| link.0))
    }
}

/// A list of CIDs.
pub(crate) mod list {
    use super::{Cid, Deserialize, Deserializer, Link, Serializer};

    pub(crate) fn serialize<S: Serializer>(cids: &[Cid], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(cids.iter().copied().map(Link))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Cid>, D::Error> {
        Ok(Vec::<Link>::deserialize(deserializer)?
            .into_iter()
            .map(|link| link.0)
            .collect())
    }
}
