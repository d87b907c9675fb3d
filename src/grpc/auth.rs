//! Who calls, by the key in the metadata, or by the certificate of the connection.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tonic::{Request, metadata::MetadataMap};
use tracing::Span;

use super::{
    methods::Use,
    places::{Holder, Place},
    rates::Rates,
    tls::{Peer, Shown},
};
use crate::{
    administration::Administration,
    domain::{
        ids::ApplicationId,
        refusal::{Refusal, Role},
    },
    error::Error,
    store::Caller,
};

/// How often a long call asks whether its key is still good.
const RECHECK: Duration = Duration::from_secs(5);

/// By what a caller is known.
pub(super) enum Credential {
    /// The key it sends, which counts whatever certificate it shows.
    Key(String),
    /// The certificate of its connection.
    Certificate(Shown),
    /// More than one key, or something that is none.
    Confused,
}

impl Credential {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        match key(request.metadata()) {
            Some(Ok(key)) => Self::Key(key.to_owned()),
            Some(Err(_)) => Self::Confused,
            None => {
                let peer = Peer::of(request.extensions());
                Self::Certificate(peer.map(|peer| peer.shown.clone()).unwrap_or_default())
            }
        }
    }

    /// What calls under it are counted by; none where there is nothing to count.
    fn counted_by(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Key(key) => Some(key.into()),
            Self::Certificate(shown) => {
                // No key has a line break.
                let parts = shown.names().iter().flat_map(|name| ["\n", name.as_str()]);
                Some(parts.collect::<String>()).filter(|names| !names.is_empty()).map(Cow::from)
            }
            Self::Confused => None,
        }
    }
}

/// What is to be known of a call before anything is done about it.
pub(super) struct Call {
    credential: Credential,
    peer: Option<IpAddr>,
    using: Use,
    /// None where nobody counts, as in tests.
    place: Option<Place>,
}

impl Call {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        Self {
            credential: Credential::of(request),
            peer: Peer::of(request.extensions()).and_then(|peer| peer.address),
            // What was not told apart is bound as what is rarer.
            using: request.extensions().get().copied().unwrap_or(Use::Write),
            place: request.extensions().get().cloned(),
        }
    }
}

/// Tells callers apart; cheap to clone.
#[derive(Clone)]
pub(super) struct Auth {
    pub(super) administration: Administration,
    pub(super) rates: Arc<Rates>,
}

impl Auth {
    /// The caller, whose role must reach `needed`.
    pub(super) async fn caller(&self, call: Call, needed: Role) -> Result<Caller, Error> {
        let Call { credential, peer, using, place } = call;
        let counted_by = credential.counted_by();
        let key = counted_by.as_deref();
        let now = Instant::now();
        self.rates.check_peer(peer, key, now)?;
        let caller = self.holder(&credential).await.inspect_err(|error| {
            // A database that does not answer says nothing of the key.
            if matches!(error, Error::Refused(_)) {
                self.rates.count_failure(peer, key, now);
            }
        })?;
        if let Some(key) = key {
            self.rates.count_call(key, using, now)?;
        }
        if let Some(application) = caller.application {
            Span::current().record("application.id", tracing::field::display(application));
        }
        if caller.role < needed {
            return Err(Refusal::RoleTooLow { needed, actual: caller.role }.into());
        }
        if let Some(place) = place {
            place.take(caller.application.map_or(Holder::Administrators, Holder::Application))?;
        }
        Ok(caller)
    }

    /// Whom a credential belongs to.
    async fn holder(&self, credential: &Credential) -> Result<Caller, Error> {
        match credential {
            Credential::Key(key) => self.administration.authenticate(key).await,
            Credential::Certificate(shown) => self.administration.identify(shown.names()).await,
            Credential::Confused => Err(Refusal::Unauthenticated.into()),
        }
    }

    /// The caller, who must belong to an application, for calls that change its data.
    pub(super) async fn member(&self, call: Call, needed: Role) -> Result<Caller, Error> {
        let caller = self.caller(call, needed).await?;
        caller.application.ok_or(Refusal::NoApplication)?;
        Ok(caller)
    }

    /// The caller's application, for calls about an application's own data.
    pub(super) async fn application(&self, call: Call, needed: Role) -> Result<ApplicationId, Error> {
        let caller = self.caller(call, needed).await?;
        Ok(caller.application.ok_or(Refusal::NoApplication)?)
    }

    /// Waits until the credential of a call is good no more; for calls that go on for long.
    pub(super) fn revoked(&self, credential: Credential) -> impl Future<Output = Error> + Send + use<> {
        let auth = self.clone();
        async move {
            loop {
                tokio::time::sleep(RECHECK).await;
                // A database that does not answer revokes nothing.
                if let Err(error @ Error::Refused(_)) = auth.holder(&credential).await {
                    return error;
                }
            }
        }
    }
}

/// Something that is sent as a key and is not one.
#[derive(Debug, PartialEq)]
struct NoKey;

/// The one key sent, as `x-api-key` or as `authorization: Bearer`; nothing where none is.
fn key(metadata: &MetadataMap) -> Option<Result<&str, NoKey>> {
    let mut keys = metadata.get_all("x-api-key").iter().map(|value| value.to_str().ok()).chain(
        metadata.get_all("authorization").iter().map(|value| {
            let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        }),
    );
    match (keys.next()?, keys.next()) {
        (Some(key), None) => Some(Ok(key)),
        _ => Some(Err(NoKey)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&'static str, &str)]) -> MetadataMap {
        let mut map = MetadataMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().expect("value"));
        }
        map
    }

    #[test]
    fn exactly_one_key_in_either_form() {
        assert_eq!(key(&metadata(&[("x-api-key", "k")])), Some(Ok("k")));
        assert_eq!(key(&metadata(&[("authorization", "bearer k")])), Some(Ok("k")));
        assert_eq!(key(&metadata(&[])), None);
        for bad in [
            &[("authorization", "Basic k")][..],
            &[("authorization", "k")],
            &[("x-api-key", "a"), ("x-api-key", "a")],
            &[("x-api-key", "a"), ("authorization", "Bearer a")],
        ] {
            assert_eq!(key(&metadata(bad)), Some(Err(NoKey)), "{bad:?}");
        }
    }
}
