//! The place a call has among those that are open, as long as anything of it is.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{
    permits::{Full, Permit, Permits},
    receive::Room,
};
use crate::domain::{ids::ApplicationId, refusal::Refusal};

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// Those under any key of an application.
    Application(ApplicationId),
    /// Those under keys of administrators.
    Administrators,
    /// Those that need no key.
    Peer(Option<IpAddr>),
}

/// The places of a server; cheap to clone.
#[derive(Clone)]
pub(super) struct Places {
    known: Arc<Permits<Holder>>,
    /// Whoever has no key must not keep out who has one, from however many networks.
    strangers: Arc<Permits<Holder>>,
    /// Places of one holder.
    limit: usize,
    rooms: Arc<Mutex<HashMap<Holder, Room>>>,
    /// Bytes of a message.
    message_bytes: usize,
}

impl Places {
    /// `total` places and as many for those without a key, and `limit` of them for one holder, with room for a few of
    /// its messages of so many bytes.
    pub(super) fn new(total: usize, limit: usize, message_bytes: usize) -> Self {
        let (known, strangers) = (Permits::new(total, limit), Permits::new(total, limit));
        Self { known, strangers, limit, rooms: Arc::default(), message_bytes }
    }

    /// The place of a call that has begun, which is nobody's as yet.
    pub(super) fn begin(&self) -> Place {
        Place { places: self.clone(), permit: Arc::default() }
    }
}

/// The place of one call. It is free again when the last clone is gone.
#[derive(Clone)]
pub(super) struct Place {
    places: Places,
    permit: Arc<OnceLock<Permit<Holder>>>,
}

impl Place {
    /// Takes the place for whom the call is. Nobody waits for one: who waits holds what others need.
    pub(super) fn take(&self, holder: Holder) -> Result<(), Refusal> {
        let Places { known, strangers, limit, .. } = &self.places;
        let permits = if matches!(holder, Holder::Peer(_)) { strangers } else { known };
        let permit = permits.take(holder).map_err(|full| match full {
            Full::All => Refusal::Overloaded,
            Full::Own => Refusal::OpenCalls {
                subject: match holder {
                    Holder::Application(_) => "application",
                    Holder::Administrators => "administrators",
                    Holder::Peer(_) => "peer",
                },
                limit: *limit,
            },
        })?;
        // A call is one person's, so a second permit would be of the same.
        let _ = self.permit.set(permit);
        Ok(())
    }

    /// Room for what is sent by a holder that has a key. It is kept for good: applications are not that many.
    pub(super) fn room(&self, holder: Holder) -> Room {
        let mut rooms = self.places.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.entry(holder).or_insert_with(|| Room::new(self.places.message_bytes)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_when_the_last_of_its_call_is_gone() {
        let places = Places::new(2, 1, 1);
        let ours = Holder::Application(ApplicationId(uuid::Uuid::from_u128(1)));
        let theirs = Holder::Application(ApplicationId(uuid::Uuid::from_u128(2)));
        let call = places.begin();
        call.take(ours).expect("the first");
        let refused = places.begin().take(ours).expect_err("a second of the same");
        assert_eq!(refused, Refusal::OpenCalls { subject: "application", limit: 1 });
        let body = call.clone();
        drop(call);
        assert!(places.begin().take(ours).is_err(), "its answer is still being sent");
        let other = places.begin();
        other.take(theirs).expect("another application");
        assert_eq!(places.begin().take(Holder::Administrators), Err(Refusal::Overloaded));
        places.begin().take(Holder::Peer(None)).expect("strangers have places of their own");
        drop(body);
        places.begin().take(ours).expect("it is free");
    }
}
