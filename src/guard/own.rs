//! Ranges behind which a host meets itself, or who runs it. They may be allowed like any other private network, but
//! hardly ever are on purpose.

use super::cidr::Cidr;

/// The ranges, with what is there.
const OWN: &[(Cidr, &str)] = &[
    (Cidr::v4([0, 0, 0, 0], 8), "this host"),
    (Cidr::v4([127, 0, 0, 0], 8), "loopback"),
    (Cidr::v4([169, 254, 0, 0], 16), "link-local, with the metadata of clouds"),
    (Cidr::v4([100, 100, 100, 200], 32), "the metadata of a cloud"),
    (Cidr::v4([168, 63, 129, 16], 32), "the host of a cloud's machine"),
    // With ::1.
    (Cidr::v6([0, 0, 0], 127), "loopback"),
    (Cidr::v6([0xfe80, 0, 0], 10), "link-local"),
    (Cidr::v6([0xfd00, 0xec2, 0], 32), "the metadata of a cloud"),
    (Cidr::v6([0xfd20, 0xce, 0], 32), "the metadata of a cloud"),
];

/// Those that have addresses in common with a range.
pub fn own_ranges(range: Cidr) -> impl Iterator<Item = (Cidr, &'static str)> {
    OWN.iter().copied().filter(move |(own, _)| own.meets(&range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_around_one_inside_one_and_beside_them() {
        for (range, met) in [
            ("127.0.0.1", &["127.0.0.0/8"][..]),
            ("169.254.169.254", &["169.254.0.0/16"]),
            ("169.254.0.0/16", &["169.254.0.0/16"]),
            ("168.0.0.0/7", &["169.254.0.0/16", "168.63.129.16/32"]),
            ("fd00::/8", &["fd00:ec2::/32", "fd20:ce::/32"]),
            ("::1", &["::/127"]),
            ("fe80::/64", &["fe80::/10"]),
            ("10.0.0.0/8", &[]),
            ("172.16.0.0/12", &[]),
            ("169.253.0.0/16", &[]),
            ("fd12:3456::/32", &[]),
        ] {
            let found: Vec<_> =
                own_ranges(range.parse().expect(range)).map(|(own, _)| own.to_string()).collect();
            assert_eq!(found, met, "{range}");
        }
        assert_eq!(own_ranges("0.0.0.0/0".parse().expect("all")).count(), 5);
    }
}
