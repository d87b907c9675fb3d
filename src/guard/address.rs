//! Which IP addresses are public, after the IANA special-purpose registries (as of 2026-11).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 ranges that are not public: first address and prefix length.
const IPV4_DENIED: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // A cloud platform's host address that lies in public space.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Ranges inside 2000::/3 that are not public; everything outside it is denied anyway.
const IPV6_DENIED: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !IPV4_DENIED.iter().any(|(net, prefix)| (v4.to_bits() ^ net.to_bits()) >> (32 - prefix) == 0)
        }
        IpAddr::V6(v6) => {
            // ISATAP hides an IPv4 address behind the interface id 0:5efe.
            let isatap = matches!(v6.segments()[4..6], [0 | 0x200, 0x5efe]);
            v6.to_bits() >> 125 == 1
                && !isatap
                && !IPV6_DENIED
                    .iter()
                    .any(|(net, prefix)| (v6.to_bits() ^ net.to_bits()) >> (128 - prefix) == 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_denied_range_to_its_edges_and_in_every_embedding() {
        for &(net, prefix) in IPV4_DENIED {
            let first = net.to_bits();
            let last = first | (u32::MAX.checked_shr(prefix).unwrap_or(0));
            for bits in [first, last] {
                let v4 = Ipv4Addr::from_bits(bits);
                let low = u128::from(bits);
                assert!(!is_public(v4.into()), "{v4}");
                for high in [0xffff_u128 << 32, 0, 0x0064_ff9b_u128 << 96] {
                    assert!(!is_public(Ipv6Addr::from_bits(high | low).into()), "{v4} embedded");
                }
                assert!(
                    !is_public(Ipv6Addr::from_bits(0x2002_u128 << 112 | low << 80 | 1).into()),
                    "6to4 {v4}"
                );
            }
        }
        for public in ["8.8.8.8", "100.63.255.254", "100.128.0.1", "172.32.0.1", "11.0.0.0", "168.63.129.17"]
        {
            assert!(is_public(public.parse().expect("address")), "{public}");
        }
        for private in [
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:470::5efe:10.0.0.1",
            "4000::1",
            "2001:0:4136::1",
        ] {
            assert!(!is_public(private.parse().expect("address")), "{private}");
        }
        assert!(is_public("2606:4700::1111".parse().expect("address")));
    }
}
