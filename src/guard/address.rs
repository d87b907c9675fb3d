//! Which IP addresses are public, after the IANA special-purpose registries and those of
//! multicast (as of 2026-11).

use std::net::{IpAddr, Ipv6Addr};

use super::cidr::Cidr;

/// IPv4 ranges that are not public. Some the registry calls reachable are here as well: they name
/// services of the network itself (AS112, AMT, 6to4 relays), where no media are.
const IPV4_DENIED: &[Cidr] = &[
    Cidr::v4([0, 0, 0, 0], 8),
    Cidr::v4([10, 0, 0, 0], 8),
    Cidr::v4([100, 64, 0, 0], 10),
    Cidr::v4([127, 0, 0, 0], 8),
    // A cloud platform's host address that lies in public space.
    Cidr::v4([168, 63, 129, 16], 32),
    Cidr::v4([169, 254, 0, 0], 16),
    Cidr::v4([172, 16, 0, 0], 12),
    Cidr::v4([192, 0, 0, 0], 24),
    Cidr::v4([192, 0, 2, 0], 24),
    Cidr::v4([192, 31, 196, 0], 24),
    Cidr::v4([192, 52, 193, 0], 24),
    Cidr::v4([192, 88, 99, 0], 24),
    Cidr::v4([192, 168, 0, 0], 16),
    Cidr::v4([192, 175, 48, 0], 24),
    Cidr::v4([198, 18, 0, 0], 15),
    Cidr::v4([198, 51, 100, 0], 24),
    Cidr::v4([203, 0, 113, 0], 24),
    // Multicast, and what was kept back for later, with the broadcast address at its end.
    Cidr::v4([224, 0, 0, 0], 4),
    Cidr::v4([240, 0, 0, 0], 4),
];

/// Where public IPv6 addresses are. Outside lie loopback, mapped, NAT64, discard-only, SRv6, unique
/// local, link-local and multicast addresses, and all that is not given out yet.
const IPV6_GLOBAL: Cidr = Cidr::v6([0x2000, 0, 0], 3);

/// Ranges inside that are not public.
const IPV6_DENIED: &[Cidr] = &[
    // Protocol assignments: Teredo, benchmarking, AMT, ORCHID, drone ids.
    Cidr::v6([0x2001, 0, 0], 23),
    Cidr::v6([0x2001, 0xdb8, 0], 32),
    // 6to4, which holds an IPv4 address.
    Cidr::v6([0x2002, 0, 0], 16),
    Cidr::v6([0x2620, 0x4f, 0x8000], 48),
    Cidr::v6([0x3fff, 0, 0], 20),
];

/// Whether an address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(_) => !IPV4_DENIED.iter().any(|range| range.contains(address.to_canonical())),
        IpAddr::V6(v6) => {
            IPV6_GLOBAL.contains(address)
                && !is_isatap(v6)
                && !IPV6_DENIED.iter().any(|range| range.contains(address))
        }
    }
}

/// ISATAP hides an IPv4 address behind the interface id 0:5efe.
fn is_isatap(address: Ipv6Addr) -> bool {
    matches!(address.segments()[4..6], [0 | 0x200, 0x5efe])
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mapped_address_is_judged_as_what_it_maps(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(is_public(v4.into()), is_public(v4.to_ipv6_mapped().into()));
        }

        #[test]
        fn no_other_embedding_is_public(bits: u32) {
            let low = u128::from(bits);
            for embedded in [low, 0x0064_ff9b_u128 << 96 | low, 0x2002_u128 << 112 | low << 80 | 1] {
                prop_assert!(!is_public(Ipv6Addr::from_bits(embedded).into()));
            }
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn every_denied_range_to_its_edges_and_in_every_embedding() {
        for range in IPV4_DENIED {
            let (first, last) = range.edges();
            for edge in [first, last] {
                let IpAddr::V4(v4) = edge else { panic!("{range} is of IPv4") };
                let low = u128::from(v4.to_bits());
                assert!(!is_public(edge), "{edge}");
                for high in [0xffff_u128 << 32, 0, 0x0064_ff9b_u128 << 96] {
                    assert!(!is_public(Ipv6Addr::from_bits(high | low).into()), "{edge} embedded");
                }
            }
        }
        for range in IPV6_DENIED {
            let (first, last) = range.edges();
            assert!(!is_public(first) && !is_public(last), "{range}");
        }
    }

    /// Written down apart from the table, so that a line that is lost there is missed.
    #[test]
    fn what_is_inside_of_special_ranges_is_not_public() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.254",
            "192.0.0.8",
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.254",
            "192.175.48.1",
            "198.18.0.1",
            "198.19.255.254",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address(inside)), "{inside}");
        }
    }

    #[test]
    fn a061_neighbours_of_ranges_are_public() {
        for public in [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.254",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
        ] {
            assert!(is_public(address(public)), "{public}");
        }
    }

    #[test]
    fn a062_public_ipv6_and_what_lies_around_it() {
        for public in [
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "3ffe:ffff::1",
            "2001:db9::",
            "2003::",
        ] {
            assert!(is_public(address(public)), "{public}");
        }
        for private in [
            "::",
            "::1",
            "1fff:ffff::1",
            "4000::",
            "64:ff9b::808:808",
            "64:ff9b:1::a00:1",
            "64:ff9c::1",
            "100::1",
            "100:0:0:1::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:470::5efe:10.0.0.1",
            "2001:470::200:5efe:10.0.0.1",
            "2001:db8::1",
            "2002:808:808::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address(private)), "{private}");
        }
    }
}
