//! A range of addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use thiserror::Error;

/// All addresses that begin alike: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    first: IpAddr,
    prefix: u32,
}

/// A text that is not a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be an address range like 10.0.0.0/8 or 2001:db8::/32, with nothing behind its prefix")]
pub struct NotCidr;

impl Cidr {
    pub(super) const fn v4(first: [u8; 4], prefix: u32) -> Self {
        let [a, b, c, d] = first;
        Self { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    /// A range named by its first three groups; none of the registry needs more.
    pub(super) const fn v6(first: [u16; 3], prefix: u32) -> Self {
        let [a, b, c] = first;
        Self { first: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), prefix }
    }

    /// Whether an address lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differs = first.to_bits() ^ address.to_bits();
                differs.checked_shr(32 - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differs = first.to_bits() ^ address.to_bits();
                differs.checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Whether an address lies inside of both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// The address after which the range is called, and the last one in it.
    #[cfg(test)]
    pub(super) fn edges(&self) -> (IpAddr, IpAddr) {
        let last = match self.first {
            IpAddr::V4(first) => {
                Ipv4Addr::from_bits(first.to_bits() | u32::MAX.checked_shr(self.prefix).unwrap_or(0)).into()
            }
            IpAddr::V6(first) => {
                Ipv6Addr::from_bits(first.to_bits() | u128::MAX.checked_shr(self.prefix).unwrap_or(0)).into()
            }
        };
        (self.first, last)
    }
}

impl FromStr for Cidr {
    type Err = NotCidr;

    fn from_str(text: &str) -> Result<Self, NotCidr> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let first: IpAddr = address.parse().map_err(|_| NotCidr)?;
        // Mapped addresses are judged as what they map, so a range of them would never match.
        if first.to_canonical() != first {
            return Err(NotCidr);
        }
        let (width, bits) = match first {
            IpAddr::V4(v4) => (32, u128::from(v4.to_bits()) << 96),
            IpAddr::V6(v6) => (128, v6.to_bits()),
        };
        let prefix = match prefix {
            None => width,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= width).ok_or(NotCidr)?
            }
            Some(_) => return Err(NotCidr),
        };
        // "10.1.0.0/8" is a slip of the pen; what was meant cannot be known.
        if bits.checked_shl(prefix).unwrap_or(0) != 0 {
            return Err(NotCidr);
        }
        Ok(Self { first, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_hold_what_they_say() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "ffff::", "1.2.3.4"),
            ("::1/128", "::1", "::2"),
        ] {
            let range: Cidr = range.parse().expect(range);
            assert!(range.contains(inside.parse().expect("address")), "{range} holds {inside}");
            assert!(!range.contains(outside.parse().expect("address")), "{range} lacks {outside}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.1.0.0/8",
            "10.0.0/8",
            "example.com",
            "::ffff:10.0.0.0/104",
            "::/129",
            "fe80::1%eth0",
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(NotCidr), "{text:?}");
        }
    }
}
