//! Who calls, by the key in the metadata, or by the certificate of the connection.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use tonic::{
    Request,
    codegen::http::{self, Extensions, HeaderMap},
};
use tracing::Span;

use super::{
    methods::Use,
    places::{Holder, Places},
    rates::Rates,
    room::Rooms,
    tls::{Peer, Shown},
};
use crate::{
    administration::Administration,
    domain::{
        ids::ApplicationId,
        refusal::{Refusal, Role},
    },
    error::Error,
    permits::Permit,
    store::Caller,
};

/// How often a long call asks whether its key is still good.
const RECHECK: Duration = Duration::from_secs(5);

/// Keys that nobody knows yet and that are looked up at a time, so that whoever makes keys up leaves the database to
/// others.
const TRIALS: usize = 4;

/// By what a caller is known.
enum Credential {
    /// The key it sends, which counts whatever certificate it shows.
    Key(String),
    /// The certificate of its connection.
    Certificate(Shown),
    /// More than one key, or something that is none.
    Confused,
}

impl Credential {
    fn of<T>(request: &http::Request<T>) -> Self {
        match key(request.headers()) {
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

/// What the head of a call tells of its caller.
pub(super) struct Head {
    credential: Credential,
    peer: Option<IpAddr>,
    using: Use,
}

impl Head {
    pub(super) fn of<T>(request: &http::Request<T>, using: Use) -> Self {
        let peer = Peer::of(request.extensions()).and_then(|peer| peer.address);
        Self { credential: Credential::of(request), peer, using }
    }
}

/// A caller who was told by the head of a call, as handlers of the call find it in its extensions.
#[derive(Clone)]
pub(super) struct Admitted {
    caller: Caller,
    credential: Arc<Credential>,
}

/// Tells callers apart; cheap to clone.
#[derive(Clone)]
pub(super) struct Auth {
    administration: Administration,
    rates: Arc<Rates>,
    trials: Arc<Semaphore>,
}

impl Auth {
    pub(super) fn new(administration: Administration, rates: Arc<Rates>) -> Self {
        Self { administration, rates, trials: Arc::new(Semaphore::new(TRIALS)) }
    }

    /// Lets a call in by its head, before anything of its messages is read; gives it its place, and room for those.
    pub(super) async fn admit(
        &self,
        head: Head,
        places: &Places,
    ) -> Result<(Admitted, Permit<Holder>, Rooms), Error> {
        let Head { credential, peer, using } = head;
        let counted_by = credential.counted_by();
        let key = counted_by.as_deref();
        // Who has tried too many, or shows nothing that could be looked up, keeps nobody waiting.
        self.rates.check_trials(peer, key, Instant::now())?;
        let is_strange = key.is_some() && !self.rates.knows(key);
        // Many may call at once under a key that is good: the first of them makes it known to the others.
        let turn = if is_strange { self.trials.acquire().await.ok() } else { None };
        let now = Instant::now();
        let trial = self.rates.try_key(peer, key, now)?;
        let known = self.holder(&credential).await;
        match &known {
            Err(Error::Refused(_)) => self.rates.was_wrong(key),
            // A database that does not answer says nothing of the key.
            Ok(_) | Err(_) => self.rates.was_not_wrong(&trial, now),
        }
        let caller = known?;
        if let Some(key) = key {
            self.rates.count_call(key, using, now)?;
        }
        drop(turn);
        if let Some(application) = caller.application {
            Span::current().record("application.id", tracing::field::display(application));
        }
        let holder = caller.application.map_or(Holder::Administrators, Holder::Application);
        let place = places.take(holder)?;
        drop(counted_by);
        Ok((Admitted { caller, credential: Arc::new(credential) }, place, places.rooms(holder)))
    }

    /// Whom a credential belongs to.
    async fn holder(&self, credential: &Credential) -> Result<Caller, Error> {
        match credential {
            Credential::Key(key) => self.administration.authenticate(key).await,
            Credential::Certificate(shown) => self.administration.identify(shown.names()).await,
            Credential::Confused => Err(Refusal::Unauthenticated.into()),
        }
    }

    /// Waits until the credential of a call is good no more; for calls that go on for long.
    pub(super) fn revoked(&self, extensions: &Extensions) -> impl Future<Output = Error> + Send + use<> {
        let (auth, admitted) = (self.clone(), extensions.get::<Admitted>().cloned());
        async move {
            let Some(Admitted { credential, .. }) = admitted else { return Refusal::Unauthenticated.into() };
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

/// The caller, whose role must reach `needed`.
pub(super) fn caller<T>(request: &Request<T>, needed: Role) -> Result<Caller, Refusal> {
    let admitted = request.extensions().get::<Admitted>().ok_or(Refusal::Unauthenticated)?;
    let actual = admitted.caller.role;
    if actual < needed { Err(Refusal::RoleTooLow { needed, actual }) } else { Ok(admitted.caller) }
}

/// The caller, who must belong to an application, for calls that change its data.
pub(super) fn member<T>(request: &Request<T>, needed: Role) -> Result<Caller, Refusal> {
    let caller = caller(request, needed)?;
    caller.application.ok_or(Refusal::NoApplication)?;
    Ok(caller)
}

/// The caller's application, for calls about an application's own data.
pub(super) fn application<T>(request: &Request<T>, needed: Role) -> Result<ApplicationId, Refusal> {
    caller(request, needed)?.application.ok_or(Refusal::NoApplication)
}

/// Something that is sent as a key and is not one.
#[derive(Debug, PartialEq)]
struct NoKey;

/// The one key sent, as `x-api-key` or as `authorization: Bearer`; nothing where none is.
fn key(headers: &HeaderMap) -> Option<Result<&str, NoKey>> {
    let mut keys = headers.get_all("x-api-key").iter().map(|value| value.to_str().ok()).chain(
        headers.get_all("authorization").iter().map(|value| {
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

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().expect("value"));
        }
        map
    }

    #[test]
    fn exactly_one_key_in_either_form() {
        assert_eq!(key(&headers(&[("x-api-key", "k")])), Some(Ok("k")));
        assert_eq!(key(&headers(&[("authorization", "bearer k")])), Some(Ok("k")));
        assert_eq!(key(&headers(&[])), None);
        for bad in [
            &[("authorization", "Basic k")][..],
            &[("authorization", "k")],
            &[("x-api-key", "a"), ("x-api-key", "a")],
            &[("x-api-key", "a"), ("authorization", "Bearer a")],
        ] {
            assert_eq!(key(&headers(bad)), Some(Err(NoKey)), "{bad:?}");
        }
    }
}
