//! Flags of connections and calls.

use std::time::Duration;

use clap::Args;

use super::parse_bytes;
use crate::grpc::{CallBounds, CallRates, Certificate, Connections, Transport};

/// Bounds on connections and calls.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connections and calls")]
pub struct TransportArgs {
    /// Bytes of one gRPC message
    #[arg(long, env = "CARRYOVER_MAX_MESSAGE_BYTES", default_value = "4MiB", value_parser = parse_bytes, value_name = "BYTES")]
    pub max_message_bytes: u64,

    /// Bytes of all metadata of a call
    #[arg(long, env = "CARRYOVER_MAX_HEADER_BYTES", default_value = "16KiB", value_parser = parse_bytes, value_name = "BYTES")]
    pub max_header_bytes: u64,

    /// Calls at a time on one connection
    #[arg(long, env = "CARRYOVER_MAX_STREAMS", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_streams: u32,

    /// Calls that are open at a time in all, streams among them, and as many without a key; one more is refused with UNAVAILABLE
    #[arg(long, env = "CARRYOVER_MAX_CALLS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_calls: u32,

    /// Calls that are open at a time under the keys of one application, streams among them; without a key, of one peer
    #[arg(long, env = "CARRYOVER_MAX_CALLS_PER_APPLICATION", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_calls_per_application: u32,

    /// Calls a minute of one key that read; a stream is one call. 0 is no bound
    #[arg(long, env = "CARRYOVER_READS_PER_MINUTE", default_value_t = 600, value_name = "N")]
    pub reads_per_minute: u32,

    /// Calls a minute of one key that change something; an upload is one call. 0 is no bound
    #[arg(long, env = "CARRYOVER_WRITES_PER_MINUTE", default_value_t = 300, value_name = "N")]
    pub writes_per_minute: u32,

    /// Wrong keys a minute of one peer, as for connections; keys that were good a minute before still pass. 0 is no bound
    #[arg(long, env = "CARRYOVER_FAILED_KEYS_PER_MINUTE", default_value_t = 60, value_name = "N")]
    pub failed_keys_per_minute: u32,

    /// Seconds in which a call that is no stream must be answered; erasing goes on behind it
    #[arg(long, env = "CARRYOVER_MAX_CALL_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub max_call_seconds: u64,

    /// Seconds a stream may be open (an upload, a watch, an export); its caller goes on with another. 0 is no bound
    #[arg(long, env = "CARRYOVER_MAX_STREAM_SECONDS", default_value_t = 86_400, value_name = "N")]
    pub max_stream_seconds: u64,

    /// Seconds in which the next answer of a stream must be read, or that of another call, behind which its connection is closed
    #[arg(long, env = "CARRYOVER_STREAM_IDLE_SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub stream_idle_seconds: u64,

    /// Seconds an upload may bring less than 1 KiB in before its stream is ended (it can be resumed)
    #[arg(long, env = "CARRYOVER_UPLOAD_IDLE_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub upload_idle_seconds: u64,

    /// Connections at a time; what is beyond is closed at once
    #[arg(long, env = "CARRYOVER_MAX_CONNECTIONS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_connections: u32,

    /// Connections at a time of one peer: an IPv4 address, or an IPv6 network of 64 bits. A proxy is one peer
    #[arg(long, env = "CARRYOVER_MAX_CONNECTIONS_PER_PEER", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_connections_per_peer: u32,

    /// Seconds in which a new connection must begin to speak
    #[arg(long, env = "CARRYOVER_HANDSHAKE_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub handshake_seconds: u64,

    /// Media that are read from this server at a time over links to it, half of them by one peer
    #[arg(long, env = "CARRYOVER_MAX_MEDIA_READERS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_media_readers: u32,

    /// Seconds in which a peer must take something of what waits for it, or its connection is closed
    #[arg(long, env = "CARRYOVER_STALL_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub stall_seconds: u64,

    /// Seconds of silence after which a peer is asked whether it lives
    #[arg(long, env = "CARRYOVER_KEEPALIVE_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub keepalive_seconds: u64,

    /// Seconds in which it must answer, or its connection is closed
    #[arg(long, env = "CARRYOVER_KEEPALIVE_TIMEOUT_SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub keepalive_timeout_seconds: u64,

    /// Seconds, give or take a tenth, after which a connection is told to take no more calls, so that new processes get their share; open calls go on. 0 is never
    #[arg(long, env = "CARRYOVER_MAX_CONNECTION_AGE_SECONDS", default_value_t = 1800, value_name = "N")]
    pub max_connection_age_seconds: u64,

    /// Seconds without an open call after which a connection is told the same, so that idle ones keep nobody out. 0 is never
    #[arg(long, env = "CARRYOVER_CONNECTION_IDLE_SECONDS", default_value_t = 300, value_name = "N")]
    pub connection_idle_seconds: u64,
}

impl TransportArgs {
    /// What they bound.
    pub(super) fn bounds(&self, reflection: bool, certificate: Option<Certificate>) -> Transport {
        Transport {
            message_bytes: usize::try_from(self.max_message_bytes).unwrap_or(usize::MAX),
            header_bytes: u32::try_from(self.max_header_bytes).unwrap_or(u32::MAX),
            streams: self.max_streams,
            upload_idle: Duration::from_secs(self.upload_idle_seconds),
            rates: CallRates {
                reads: self.reads_per_minute,
                writes: self.writes_per_minute,
                failed_keys: self.failed_keys_per_minute,
            },
            calls: CallBounds {
                total: self.max_calls as usize,
                per_application: self.max_calls_per_application as usize,
                call: Duration::from_secs(self.max_call_seconds),
                stream: unless_zero(self.max_stream_seconds),
                unread: Duration::from_secs(self.stream_idle_seconds),
            },
            media_readers: self.max_media_readers as usize,
            connections: Connections {
                total: self.max_connections as usize,
                per_peer: self.max_connections_per_peer as usize,
                handshake: Duration::from_secs(self.handshake_seconds),
                stall: Duration::from_secs(self.stall_seconds),
                keepalive: Duration::from_secs(self.keepalive_seconds),
                keepalive_timeout: Duration::from_secs(self.keepalive_timeout_seconds),
                age: unless_zero(self.max_connection_age_seconds),
                idle: unless_zero(self.connection_idle_seconds),
            },
            reflection,
            certificate,
        }
    }
}

/// A time of so many seconds, of which 0 is no bound.
fn unless_zero(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}
