//! The places of calls among those that are open, and the room that large messages of their callers take.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::room::Rooms;
use crate::{
    domain::{ids::ApplicationId, refusal::Refusal},
    permits::{Full, Permit, Permits},
};

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
    rooms: Arc<Mutex<HashMap<Holder, Rooms>>>,
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

    /// A place for a call of `holder`, until the permit is dropped. Nobody waits for one: who waits holds what others need.
    pub(super) fn take(&self, holder: Holder) -> Result<Permit<Holder>, Refusal> {
        let permits = if matches!(holder, Holder::Peer(_)) { &self.strangers } else { &self.known };
        permits.take(holder).map_err(|full| match full {
            Full::All => Refusal::Overloaded,
            Full::Own => Refusal::OpenCalls {
                subject: match holder {
                    Holder::Application(_) => "application",
                    Holder::Administrators => "administrators",
                    Holder::Peer(_) => "peer",
                },
                limit: self.limit,
            },
        })
    }

    /// Room for the messages of a holder that has a key. It is kept for good: applications are not that many.
    pub(super) fn rooms(&self, holder: Holder) -> Rooms {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.entry(holder).or_insert_with(|| Rooms::new(self.message_bytes)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_have_places_of_their_own_and_strangers_take_none_of_them() {
        let places = Places::new(2, 1, 1);
        let ours = Holder::Application(ApplicationId(uuid::Uuid::from_u128(1)));
        let theirs = Holder::Application(ApplicationId(uuid::Uuid::from_u128(2)));
        let call = places.take(ours).expect("the first");
        let refused = places.take(ours).err();
        assert_eq!(refused, Some(Refusal::OpenCalls { subject: "application", limit: 1 }));
        let _other = places.take(theirs).expect("another application");
        assert_eq!(places.take(Holder::Administrators).err(), Some(Refusal::Overloaded));
        places.take(Holder::Peer(None)).expect("strangers have places of their own");
        drop(call);
        places.take(ours).expect("it is free");
    }
}
