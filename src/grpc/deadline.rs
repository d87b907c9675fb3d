//! When calls must be over: at their caller's deadline, or at the server's own. Those of tonic end where an answer begins.

use std::time::Duration;

use futures_util::future;
use tokio::time::Instant;
use tonic::{Status, codegen::http::HeaderMap};

use super::{bounds::CallBounds, methods::Way};
use crate::domain::refusal::Refusal;

/// When a call must be over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    at: Instant,
    why: Refusal,
}

impl End {
    /// The end of a call that begins now: what its caller asked for, or the server's own where that is earlier.
    pub(super) fn of(way: Way, headers: &HeaderMap, bounds: &CallBounds) -> Option<Self> {
        let now = Instant::now();
        let end = |after: Duration, why| Some(Self { at: now.checked_add(after)?, why });
        let own = match way {
            Way::Single => end(bounds.call, Refusal::CallTooLong { seconds: bounds.call.as_secs() }),
            Way::Upload | Way::Answers => bounds
                .stream
                .and_then(|stream| end(stream, Refusal::StreamTooLong { seconds: stream.as_secs() })),
        };
        let asked = headers.get("grpc-timeout").and_then(|timeout| parse(timeout.to_str().ok()?));
        let asked = asked.and_then(|timeout| end(timeout, Refusal::DeadlinePassed));
        asked.into_iter().chain(own).min_by_key(|end| end.at)
    }

    /// Waits for it.
    pub(super) async fn come(end: Option<Self>) -> Status {
        match end {
            Some(Self { at, why }) => {
                tokio::time::sleep_until(at).await;
                why.into()
            }
            None => future::pending().await,
        }
    }
}

/// Reads a `grpc-timeout`: at most eight digits and a unit. What is none is no deadline, as tonic takes it.
fn parse(timeout: &str) -> Option<Duration> {
    let (digits, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8 && !digits.starts_with('+'))?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, timeout) in [
            ("1H", Duration::from_secs(3600)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
            ("2M", Duration::from_secs(120)),
            ("00000003S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(parse(text), Some(timeout), "{text}");
        }
        for none in ["", "1", "S", "-1S", "+1S", "1x", "1 S", "999999999S", "1.5S", "1ß", "garbage"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn the_earlier_end_counts() {
        let bounds = CallBounds {
            total: 1,
            per_application: 1,
            call: Duration::from_secs(60),
            stream: Some(Duration::from_secs(3600)),
            unread: Duration::from_secs(1),
        };
        let why = |way, timeout: &str, bounds| {
            let headers = HeaderMap::from_iter([(
                "grpc-timeout".parse().expect("a name"),
                timeout.parse().expect("a value"),
            )]);
            End::of(way, &headers, &bounds).map(|end| end.why)
        };
        let (call, stream) = (Refusal::CallTooLong { seconds: 60 }, Refusal::StreamTooLong { seconds: 3600 });
        assert_eq!(why(Way::Single, "none", bounds), Some(call.clone()));
        assert_eq!(why(Way::Single, "2M", bounds), Some(call));
        assert_eq!(why(Way::Single, "30S", bounds), Some(Refusal::DeadlinePassed));
        assert_eq!(why(Way::Answers, "2M", bounds), Some(Refusal::DeadlinePassed));
        assert_eq!(why(Way::Upload, "2H", bounds), Some(stream));
        assert_eq!(why(Way::Upload, "none", CallBounds { stream: None, ..bounds }), None);
    }
}
