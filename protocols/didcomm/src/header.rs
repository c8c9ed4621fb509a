//! The protected header of an envelope: what both layers refuse in it alike.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::{error::DidcommError, same_media_type};

/// A protected header. Its integrity is not checked yet.
pub(crate) struct Header {
    part: &'static str,
    pub(crate) members: Map<String, Value>,
}

impl Header {
    /// Reads the base64url text `encoded`. `part` is what errors call it.
    ///
    /// # Errors
    /// Where it is malformed, has a member that is `refused`, or a `typ` other than `media_type`.
    pub(crate) fn open(
        part: &'static str,
        encoded: &str,
        refused: [&'static str; 2],
        media_type: &str,
    ) -> Result<Self, DidcommError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|error| DidcommError::malformed(part, error))?;
        let members =
            serde_json::from_slice(&bytes).map_err(|error| DidcommError::malformed(part, error))?;
        let header = Self { part, members };
        for name in refused {
            if let Some(value) = header.members.get(name) {
                return Err(DidcommError::unsupported(name, value));
            }
        }
        match header.text("typ")? {
            Some(typ) if !same_media_type(typ, media_type) => {
                Err(DidcommError::unsupported("typ", typ))
            }
            _ => Ok(header),
        }
    }

    /// A member that must be a text where it is there.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, DidcommError> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(DidcommError::malformed(
                self.part,
                format!("`{name}` is not a text"),
            )),
        }
    }
}
