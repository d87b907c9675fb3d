//! Who calls, by the key in the metadata.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tonic::{
    Request,
    codegen::http::{self, Uri},
    metadata::MetadataMap,
};

use super::{
    connection::Peer,
    permits,
    rates::{Rates, Use},
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

/// What is to be known of a call before anything is done about it.
pub(super) struct Call {
    key: Result<String, Refusal>,
    peer: Option<IpAddr>,
    using: Use,
}

impl Call {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let peer = request.extensions().get::<Peer>().and_then(|peer| peer.address);
        Self {
            key: key(request.metadata()).map(str::to_owned),
            peer: peer.map(|address| permits::peer(address.ip())),
            // What was not told apart is bound as what is rarer.
            using: request.extensions().get().copied().unwrap_or(Use::Write),
        }
    }
}

/// Writes down what a request does, where [`Call::of`] finds it.
pub(super) fn tell_use<B>(mut request: http::Request<B>) -> http::Request<B> {
    let using = Use::of_path(Uri::path(request.uri()));
    request.extensions_mut().insert(using);
    request
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
        let Call { key, peer, using } = call;
        let key = key.as_deref();
        let now = Instant::now();
        self.rates.check_peer(peer, key.ok(), now)?;
        let caller = match key {
            Ok(key) => self.administration.authenticate(key).await,
            Err(refusal) => Err(refusal.clone().into()),
        };
        let caller = caller.inspect_err(|error| {
            // A database that does not answer says nothing of the key.
            if matches!(error, Error::Refused(_)) {
                self.rates.count_failure(peer, key.ok(), now);
            }
        })?;
        if let Ok(key) = key {
            self.rates.count_call(key, using, now)?;
        }
        if caller.role < needed {
            return Err(Refusal::RoleTooLow { needed, actual: caller.role }.into());
        }
        Ok(caller)
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

    /// Waits until the key of a call is good no more; for calls that go on for long.
    pub(super) fn revoked(&self, metadata: &MetadataMap) -> impl Future<Output = Error> + Send + use<> {
        let auth = self.clone();
        let key = key(metadata).map(str::to_owned);
        async move {
            let key = match key {
                Ok(key) => key,
                Err(refusal) => return refusal.into(),
            };
            loop {
                tokio::time::sleep(RECHECK).await;
                // A database that does not answer revokes nothing.
                if let Err(error @ Error::Refused(_)) = auth.administration.authenticate(&key).await {
                    return error;
                }
            }
        }
    }
}

/// The one key sent, as `x-api-key` or as `authorization: Bearer`.
fn key(metadata: &MetadataMap) -> Result<&str, Refusal> {
    let mut keys = metadata.get_all("x-api-key").iter().map(|value| value.to_str().ok()).chain(
        metadata.get_all("authorization").iter().map(|value| {
            let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        }),
    );
    match (keys.next(), keys.next()) {
        (Some(Some(key)), None) => Ok(key),
        _ => Err(Refusal::Unauthenticated),
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
        assert_eq!(key(&metadata(&[("x-api-key", "k")])), Ok("k"));
        assert_eq!(key(&metadata(&[("authorization", "bearer k")])), Ok("k"));
        for bad in [
            &[][..],
            &[("authorization", "Basic k")],
            &[("authorization", "k")],
            &[("x-api-key", "a"), ("x-api-key", "a")],
            &[("x-api-key", "a"), ("authorization", "Bearer a")],
        ] {
            assert_eq!(key(&metadata(bad)), Err(Refusal::Unauthenticated), "{bad:?}");
        }
    }
}
