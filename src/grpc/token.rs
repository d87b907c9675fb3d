//! Tokens that callers bring back: where to go on, and in what.

use std::{fmt::Display, str::FromStr};

use sha2::{Digest, Sha256};

use crate::domain::{ids::ApplicationId, refusal::Refusal};

/// What a token belongs to: a method, the application it was called for, and what was asked of it.
///
/// Nothing is hidden by it, since a place in a list tells nothing, and whose data are read never comes from a
/// token: it keeps callers from going on in one list with the place of another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seal(u64);

impl Seal {
    /// The seal of what `asked` asks of `method`.
    pub(super) fn new(method: &str, application: Option<ApplicationId>, asked: &[u8]) -> Self {
        let application = application.map(|id| id.0).unwrap_or_default();
        // The one part without a fixed length that is not the last ends with a byte that no name holds.
        let digest: [u8; 32] = Sha256::new()
            .chain_update(method)
            .chain_update([0])
            .chain_update(application.as_bytes())
            .chain_update(asked)
            .finalize()
            .into();
        Self(digest.iter().take(8).fold(0, |seal, byte| seal << 8 | u64::from(*byte)))
    }

    /// A token that leads back to `place`.
    pub(super) fn token(self, place: impl Display) -> String {
        format!("{:016x}.{place}", self.0)
    }

    /// The place a token leads to; none for an empty one, which leads to the beginning.
    pub(super) fn place<T: FromStr>(self, field: &str, token: &str) -> Result<Option<T>, Refusal> {
        if token.is_empty() {
            return Ok(None);
        }
        let own = self.token("");
        let place = token.strip_prefix(&own).and_then(|place| place.parse().ok());
        let text = "is none that this method gave out for this request";
        place.map(Some).ok_or_else(|| Refusal::field(field, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place_and_nowhere_else() {
        let application = Some(ApplicationId(uuid::Uuid::from_u128(7)));
        let seal = Seal::new("List", application, b"a");
        let token = seal.token("5.6");
        assert_eq!(seal.place("t", &token), Ok(Some("5.6".to_owned())));
        assert_eq!(seal.place::<i64>("t", ""), Ok(None));
        assert!(seal.place::<i64>("t", &token).is_err(), "a place of another form");
        for other in [
            Seal::new("Lis", application, b"a"),
            Seal::new("List", None, b"a"),
            Seal::new("List", application, b""),
            Seal::new("List", application, b"b"),
        ] {
            assert!(other.place::<String>("t", &token).is_err(), "{other:?}");
        }
    }
}
