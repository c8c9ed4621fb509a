//! Lists of what was taken back: W3C Bitstring Status List 1.0, for the purpose `revocation`.
//!
//! A list is itself a credential of the issuer: a bit for each credential, compressed with GZIP and in
//! base64url. It has at least 131,072 places, so that a look at it does not tell which one is meant.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec_with_limit};
use pagi_messages::{Did, SigningIdentity};
use serde_json::{Map, Value, json};

use crate::{
    context::{CREDENTIALS_V2, is_context},
    credential::{did, malformed, reason, time},
    error::CredentialError,
    proof::{Suite, Timestamp, add_proof, verify_proof},
};

/// Places of a new list.
pub const PLACES: u64 = 131_072;
/// Bytes of the largest list that is read, when it is not compressed.
const MAX_BYTES: usize = 1024 * 1024;
const ENTRY: &str = "BitstringStatusListEntry";
const LIST: &str = "BitstringStatusList";
const LIST_CREDENTIAL: &str = "BitstringStatusListCredential";
const PURPOSE: &str = "revocation";

/// The id of an issuer's list. It names the list and is no address: lists come over the swarm.
#[must_use]
pub fn list_id(issuer: &Did) -> String {
    format!("urn:pagi:status:{issuer}")
}

/// A credential's place in a status list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusEntry {
    /// The list's id.
    pub list: String,
    /// The place, from 0.
    pub index: u64,
}

impl StatusEntry {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "type": ENTRY,
            "statusPurpose": PURPOSE,
            "statusListIndex": self.index.to_string(),
            "statusListCredential": self.list,
        })
    }

    pub(crate) fn from_json(value: &Value) -> Result<Self, CredentialError> {
        const MEMBERS: [&str; 5] = [
            "id",
            "type",
            "statusPurpose",
            "statusListIndex",
            "statusListCredential",
        ];
        let bad = |reason| malformed("credentialStatus", reason);
        let members = value.as_object().ok_or(bad("is not a single object"))?;
        if members.keys().any(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(bad("has a member that is not known"));
        }
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        if text("type") != Some(ENTRY) || text("statusPurpose") != Some(PURPOSE) {
            return Err(bad(
                "is not an entry for revocation in a bitstring status list",
            ));
        }
        let index = match members.get("statusListIndex") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(number) => number.as_u64(),
            None => None,
        };
        Ok(Self {
            list: text("statusListCredential")
                .ok_or(bad("names no list"))?
                .to_owned(),
            index: index.ok_or(bad("names no place"))?,
        })
    }
}

/// Which credentials an issuer has taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    /// Whose list.
    pub issuer: Did,
    /// Its id.
    pub id: String,
    /// Since when it holds, seconds since 1970.
    pub since_s: i64,
    bits: Vec<u8>,
}

impl StatusList {
    /// An issuer's list with nothing taken back.
    #[must_use]
    pub fn new(issuer: &Did) -> Self {
        Self {
            issuer: issuer.clone(),
            id: list_id(issuer),
            since_s: 0,
            bits: vec![0; usize::try_from(PLACES / 8).unwrap_or(0)],
        }
    }

    /// Whether the credential at `index` was taken back; `None` beyond the list.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<bool> {
        let byte = self.bits.get(usize::try_from(index / 8).ok()?)?;
        Some(byte >> (7 - index % 8) & 1 == 1)
    }

    /// Takes the credential at `index` back; whether there is such a place.
    pub fn revoke(&mut self, index: u64) -> bool {
        let byte = usize::try_from(index / 8)
            .ok()
            .and_then(|at| self.bits.get_mut(at));
        byte.map(|byte| *byte |= 1 << (7 - index % 8)).is_some()
    }

    /// Whether this list says more than `other`, of the same issuer: it is newer, or of the same
    /// second and takes more back.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        let ones = |list: &Self| list.bits.iter().map(|byte| byte.count_ones()).sum::<u32>();
        (self.since_s, ones(self)) > (other.since_s, ones(other))
    }

    /// The list as a credential of its issuer, as of `now_s` (seconds since 1970).
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn issue(&self, issuer: &SigningIdentity, now_s: u64) -> Result<Value, CredentialError> {
        let since = Timestamp::from_s(now_s)
            .and_then(Timestamp::text)
            .ok_or(malformed("validFrom", "is beyond the year 9999"))?;
        let credential = json!({
            "@context": [CREDENTIALS_V2],
            "id": self.id,
            "type": ["VerifiableCredential", LIST_CREDENTIAL],
            "issuer": issuer.did().as_str(),
            "validFrom": since,
            "credentialSubject": {
                "id": format!("{}#list", self.id),
                "type": LIST,
                "statusPurpose": PURPOSE,
                "encodedList": format!("u{}", URL_SAFE_NO_PAD.encode(gzip(&self.bits))),
            },
        });
        Ok(add_proof(&credential, issuer, Some(now_s), Suite::Rdfc)?)
    }

    /// Verifies a list and reads it.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn verify(credential: &Value, now_s: u64) -> Result<Self, CredentialError> {
        const MEMBERS: [&str; 8] = [
            "@context",
            "id",
            "type",
            "issuer",
            "validFrom",
            "validUntil",
            "credentialSubject",
            "proof",
        ];
        let signer = verify_proof(credential, now_s).map_err(|error| reason(credential, error))?;
        let members: &Map<String, Value> = credential
            .as_object()
            .ok_or(malformed("credential", "is not an object"))?;
        if members.keys().any(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(malformed("credential", "has a member that is not known"));
        }
        if !is_context(members.get("@context"), &json!([CREDENTIALS_V2])) {
            return Err(CredentialError::UnknownContext);
        }
        if members.get("type") != Some(&json!(["VerifiableCredential", LIST_CREDENTIAL])) {
            return Err(malformed("type", "is not that of a status list"));
        }
        let issuer = did(members.get("issuer"), "issuer")?;
        if issuer != signer {
            return Err(CredentialError::ForeignIssuer { issuer, signer });
        }
        let since = time(members, "validFrom")?.ok_or(malformed("validFrom", "is missing"))?;
        if !since.is_reached(now_s) {
            return Err(CredentialError::NotYetValid {
                valid_from: since.seconds(),
                now: now_s,
            });
        }
        if let Some(until) = time(members, "validUntil")?
            && until.is_past(now_s)
        {
            return Err(CredentialError::Expired {
                valid_until: until.seconds(),
                now: now_s,
            });
        }
        let subject = &credential["credentialSubject"];
        if subject["type"] != LIST || subject["statusPurpose"] != PURPOSE {
            return Err(malformed(
                "credentialSubject",
                "is not a list for revocation",
            ));
        }
        let encoded = subject["encodedList"]
            .as_str()
            .and_then(|text| text.strip_prefix('u'))
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .ok_or(malformed("encodedList", "is not multibase base64url (u…)"))?;
        let bits =
            gunzip(&encoded).ok_or(malformed("encodedList", "is not a GZIP of 1 MiB at most"))?;
        if bits.len() < 16 * 1024 {
            return Err(malformed("encodedList", "has fewer than 131072 places"));
        }
        let id = members.get("id").and_then(Value::as_str);
        Ok(Self {
            id: id.ok_or(malformed("id", "is missing"))?.to_owned(),
            issuer,
            since_s: since.seconds(),
            bits,
        })
    }
}

/// GZIP (RFC 1952): a bare header, the deflated bytes, their CRC-32 and length.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(compress_to_vec(bytes, 9));
    out.extend(crc32fast::hash(bytes).to_le_bytes());
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out
}

fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const CHECKED: u8 = 2;
    let flags = *bytes.get(3)?;
    if !bytes.starts_with(&[0x1f, 0x8b, 8]) || flags & 0xe0 != 0 {
        return None;
    }
    let mut rest = bytes.get(10..)?;
    if flags & EXTRA != 0 {
        let length = u16::from_le_bytes([*rest.first()?, *rest.get(1)?]);
        rest = rest.get(2 + usize::from(length)..)?;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & CHECKED != 0 {
        rest = rest.get(2..)?;
    }
    let (deflated, trailer) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    let plain = decompress_to_vec_with_limit(deflated, MAX_BYTES).ok()?;
    let sum = u32::from_le_bytes(trailer.get(..4)?.try_into().ok()?);
    (crc32fast::hash(&plain) == sum).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claims, issue, verify};

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn a_credential_holds_until_its_place_in_the_list_is_taken_back() {
        let (issuer, other) = (
            SigningIdentity::from_seed(&[1; 32]),
            SigningIdentity::from_seed(&[2; 32]),
        );
        let entry = StatusEntry {
            list: list_id(issuer.did()),
            index: 9,
        };
        let claims = Claims::Reputation {
            reputation_score: 0.5,
            contributions: json!(1),
        };
        let made = issue(&issuer, other.did(), &claims, NOW, NOW + 100, Some(&entry)).unwrap();
        let verified = verify(&made, NOW).unwrap();
        assert_eq!(verified.status.as_ref(), Some(&entry));
        let mut list = StatusList::new(issuer.did());
        let published = |list: &StatusList| {
            let document = list.issue(&issuer, NOW).unwrap();
            assert!(document.to_string().len() < 4_096);
            StatusList::verify(&document, NOW).unwrap()
        };
        verified.check_status(&published(&list)).unwrap();
        assert!(list.revoke(8) && list.revoke(10) && !list.revoke(PLACES));
        verified.check_status(&published(&list)).unwrap();
        let before = published(&list);
        assert!(list.revoke(9));
        let after = published(&list);
        assert_eq!(verified.check_status(&after), Err(CredentialError::Revoked));
        assert!(after.replaces(&before) && !before.replaces(&after));
        // Another's list says nothing of it.
        let foreign = StatusList::new(other.did());
        assert_eq!(
            verified.check_status(&foreign),
            Err(CredentialError::ForeignList)
        );
        // The place is signed with the rest.
        let mut moved = made;
        moved["credentialStatus"]["statusListIndex"] = json!("11");
        assert!(verify(&moved, NOW).is_err());
    }

    #[test]
    fn forged_and_broken_lists_are_refused() {
        let issuer = SigningIdentity::from_seed(&[1; 32]);
        let list = StatusList::new(issuer.did());
        let good = list.issue(&issuer, NOW).unwrap();
        let mut forged = good.clone();
        forged["credentialSubject"]["encodedList"] = json!("uH4sI");
        assert!(matches!(
            StatusList::verify(&forged, NOW),
            Err(CredentialError::Proof(_))
        ));
        assert!(matches!(
            StatusList::verify(&good, NOW - 1),
            Err(CredentialError::NotYetValid { .. })
        ));
        let other = SigningIdentity::from_seed(&[2; 32]);
        let mut stolen = good.clone();
        stolen.as_object_mut().unwrap().remove("proof");
        let stolen = add_proof(&stolen, &other, None, Suite::Rdfc).unwrap();
        assert!(matches!(
            StatusList::verify(&stolen, NOW),
            Err(CredentialError::ForeignIssuer { .. })
        ));
        let short = StatusList {
            bits: vec![0; 8],
            ..list.clone()
        };
        let short = short.issue(&issuer, NOW).unwrap();
        assert!(StatusList::verify(&short, NOW).is_err());
        let bomb = StatusList {
            bits: vec![0; 2 * MAX_BYTES],
            ..list
        };
        let bomb = bomb.issue(&issuer, NOW).unwrap();
        assert!(StatusList::verify(&bomb, NOW).is_err());
        let whole = gzip(b"hello");
        assert_eq!(gunzip(&whole).unwrap(), b"hello");
        for end in 0..whole.len() {
            assert!(gunzip(&whole[..end]).is_none());
        }
    }
}
