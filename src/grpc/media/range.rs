//! The part of a medium that a request asks for.

use std::ops::Range;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it. Also where several parts are asked for, or something that is no range: who serves may do so.
    Whole,
    /// These bytes.
    Of(Range<u64>),
    /// Bytes that there are none of.
    Nowhere,
}

impl Part {
    /// The part that a `Range` header names of so many bytes.
    pub(super) fn of(header: &str, size: u64) -> Self {
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let range = header.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
        let range: Option<Range<u64>> = range.and_then(|(first, last)| match (first, last) {
            ("", last) => number(last).map(|count: u64| size.saturating_sub(count)..size),
            (first, "") => number(first).map(|first| first..size),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then(|| first..last.saturating_add(1).min(size))
            }
        });
        match range {
            None => Self::Whole,
            Some(range) if range.start < range.end => Self::Of(range),
            Some(_) => Self::Nowhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_as_the_standard_says() {
        let of = |header: &str| Part::of(header, 10);
        for (header, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-5", 2..6),
            ("bytes=2-", 2..10),
            ("bytes=9-", 9..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("bytes=4-99", 4..10),
            ("bytes=0-18446744073709551615", 0..10),
        ] {
            assert_eq!(of(header), Part::Of(range), "{header}");
        }
        for header in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(of(header), Part::Nowhere, "{header}");
        }
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=0-1,4-5",
            "bytes=+1-2",
            "bytes= 1-2",
            "bytes=a-b",
            "lines=0-1",
            "bytes=0-18446744073709551616",
        ] {
            assert_eq!(of(header), Part::Whole, "{header}");
        }
        assert_eq!(Part::of("bytes=0-", 0), Part::Nowhere);
    }
}
