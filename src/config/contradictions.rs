//! Settings that do not go together.

use std::net::SocketAddr;

use thiserror::Error;

use super::{ClientAuth, PlaceOfObjects, Role, ServeArgs};
use crate::{
    domain::limits::Limits,
    grpc::client::CHUNK_BYTES,
    guard::{Cidr, own_ranges},
};

/// Settings each of which could be used, but not these together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Contradiction {
    /// The database URL is of no known kind. It is not shown: it may hold a password.
    #[error("--database-url must begin with postgres:// or postgresql://")]
    DatabaseUrl,
    /// An admin key that could be guessed, or that no header could carry. It is not shown.
    #[error("--admin-key must have 32 to 256 visible ASCII characters and no space")]
    AdminKey,
    /// SQLite is one process's.
    #[error("--role api and --role worker need --database-url: SQLite belongs to one process")]
    RoleOfSqlite,
    /// Others could read along.
    #[error(
        "--listen {0} is where other machines connect, and without TLS keys and personal data can be read on \
        their way: give --tls-cert and --tls-key, or --insecure-listen where something else encrypts (a proxy, a \
        service mesh)"
    )]
    Exposed(SocketAddr),
    /// A word about certificates that nobody is asked for.
    #[error("--tls-client-auth optional needs --tls-client-ca: without it no client shows a certificate")]
    NobodyVouches,
    /// Nobody can listen twice.
    #[error("--listen and --metrics-listen name the same address")]
    SameAddress,
    /// A segment holds whole records.
    #[error("--max-row-bytes is larger than 4MiB, which is what a segment holds")]
    RowBeyondSegment,
    /// `carryover import` could send nothing.
    #[error(
        "--max-message-bytes is smaller than the chunks that `carryover import` sends, which are 256KiB and a frame"
    )]
    ChunkBeyondMessage,
    /// A bound that is never met.
    #[error("--max-rows is larger than --max-rows-per-day: the daily bound comes first")]
    RowsBeyondDay,
    /// A bound that is never met.
    #[error(
        "--max-image-bytes or --max-video-bytes is larger than --max-media-bytes: no such medium fits an import"
    )]
    MediumBeyondMedia,
    /// A bound that guards nobody.
    #[error("--media-per-application is larger than --media-at-a-time: one application can take them all")]
    ApplicationBeyondMedia,
    /// Links that lead to an address which is none.
    #[error("--listen names every address there is, so links to media lead nowhere without --public-url")]
    LinksLeadNowhere,
    /// A wall with a hole where nobody looks for one.
    #[error("--fetch-allow {allowed} lets callers have {own} asked: {what}")]
    Unguarded {
        /// What is allowed.
        allowed: Cidr,
        /// What it has addresses of.
        own: Cidr,
        /// What is there.
        what: &'static str,
    },
    /// A bound that guards nobody.
    #[error("--max-connections-per-peer is larger than --max-connections: one peer can take them all")]
    PeerBeyondAll,
    /// A bound that guards nobody.
    #[error("--max-calls-per-application is larger than --max-calls: one application can take them all")]
    ApplicationBeyondAll,
}

/// Bytes of a message about its chunk, generously.
const FRAME_BYTES: u64 = 64;

impl Contradiction {
    /// Whether a server does not start with it; with the others it does, in a way that may surprise.
    pub fn stops_start(self) -> bool {
        use Contradiction::*;
        matches!(
            self,
            DatabaseUrl
                | AdminKey
                | RoleOfSqlite
                | Exposed(_)
                | NobodyVouches
                | SameAddress
                | RowBeyondSegment
        )
    }
}

impl ServeArgs {
    /// All settings that do not go together.
    pub fn contradictions(&self) -> impl Iterator<Item = Contradiction> {
        use Contradiction::*;
        let Self { storage, limits, transport, media, .. } = self;
        let same_address = self.listen.port() != 0 && self.metrics_listen == Some(self.listen);
        let segment_bytes = Limits::default().segment_bytes as u64;
        [
            (DatabaseUrl, !storage.names_postgres()),
            (AdminKey, self.admin_key().is_some_and(|key| !is_admin_key(key))),
            (RoleOfSqlite, self.role != Role::All && storage.database_url.is_none()),
            (Exposed(self.listen), self.is_exposed() && !self.tls.insecure_listen),
            (NobodyVouches, self.tls.client_auth == ClientAuth::Optional && self.tls.client_ca.is_none()),
            (SameAddress, same_address),
            (RowBeyondSegment, limits.max_row_bytes > segment_bytes),
            (ChunkBeyondMessage, transport.max_message_bytes < CHUNK_BYTES as u64 + FRAME_BYTES),
            (RowsBeyondDay, limits.max_rows > limits.max_rows_per_day),
            (MediumBeyondMedia, media.image_bytes.max(media.video_bytes) > media.total_bytes),
            (ApplicationBeyondMedia, media.per_application > media.at_a_time),
            (
                LinksLeadNowhere,
                self.serves_links() && self.listen.ip().is_unspecified() && self.public_url.is_none(),
            ),
            (PeerBeyondAll, transport.max_connections_per_peer > transport.max_connections),
            (ApplicationBeyondAll, transport.max_calls_per_application > transport.max_calls),
        ]
        .into_iter()
        .filter_map(|(contradiction, holds)| holds.then_some(contradiction))
        .chain(self.unguarded())
    }

    /// What is allowed to be fetched and is the host's own.
    fn unguarded(&self) -> impl Iterator<Item = Contradiction> {
        self.fetching.allow.iter().flat_map(|allowed| {
            let unguarded = |(own, what)| Contradiction::Unguarded { allowed: *allowed, own, what };
            own_ranges(*allowed).map(unguarded)
        })
    }

    /// Whether this process gives out links to media that it serves itself.
    fn serves_links(&self) -> bool {
        let is_folder = matches!(self.storage.place_of_objects(), PlaceOfObjects::Folder(_));
        self.role != Role::Worker && (is_folder || self.storage.encryption_keys.is_some())
    }
}

/// Whether a text can be a key: what is shorter may be guessed, what is longer is not looked up, and a header carries
/// nothing else.
fn is_admin_key(text: &str) -> bool {
    (32..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
