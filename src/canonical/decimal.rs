//! Exact decimals: read as text, kept as text, never a float.

/// Most digits behind the point (contract §2.4).
pub const FRACTION_DIGITS: usize = 18;

/// Most digits before it.
pub const WHOLE_DIGITS: usize = 38;

/// What is wrong with a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalFault {
    /// Not of the form `1234.56`.
    Form,
    /// A comma where a point belongs, or one that groups digits.
    Comma,
    /// More digits than are kept.
    Digits,
}

/// Reads a plain decimal, such as `1500.00` or `-0.5`; no exponent, no grouping. Gives the part of the
/// text that says the same without zeros behind the point.
pub fn parse(text: &str) -> Result<&str, DecimalFault> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(w, f)| (w, Some(f)));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !fraction.is_none_or(is_digits) {
        let has_comma =
            unsigned.contains(',') && unsigned.bytes().all(|b| b.is_ascii_digit() || b",. ".contains(&b));
        return Err(if has_comma { DecimalFault::Comma } else { DecimalFault::Form });
    }
    if whole.len() > 1 && whole.starts_with('0') {
        return Err(DecimalFault::Form);
    }
    let shortest = match fraction {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
        None => text,
    };
    let kept_fraction = shortest.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if whole.len() > WHOLE_DIGITS || kept_fraction > FRACTION_DIGITS {
        return Err(DecimalFault::Digits);
    }
    Ok(if shortest == "-0" { &shortest[1..] } else { shortest })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exact_or_not_at_all() {
        for (text, read) in [
            ("1500.00", Ok("1500")),
            ("0.512345678901234567", Ok("0.512345678901234567")),
            ("20", Ok("20")),
            ("100", Ok("100")),
            ("-1.50", Ok("-1.5")),
            ("-0.0", Ok("0")),
            ("0.0000000000000000010", Ok("0.000000000000000001")),
            ("0.1000000000000000055", Err(DecimalFault::Digits)),
            ("1,5", Err(DecimalFault::Comma)),
            ("1.234,56", Err(DecimalFault::Comma)),
            ("1,234.56", Err(DecimalFault::Comma)),
            ("1e5", Err(DecimalFault::Form)),
            ("+1", Err(DecimalFault::Form)),
            ("007", Err(DecimalFault::Form)),
            (".5", Err(DecimalFault::Form)),
            ("5.", Err(DecimalFault::Form)),
            ("0x1", Err(DecimalFault::Form)),
            ("١٢٣", Err(DecimalFault::Form)),
            ("NaN", Err(DecimalFault::Form)),
            ("", Err(DecimalFault::Form)),
            ("-", Err(DecimalFault::Form)),
        ] {
            assert_eq!(parse(text), read, "{text:?}");
        }
        assert_eq!(parse(&"9".repeat(39)), Err(DecimalFault::Digits));
    }

    proptest! {
        #[test]
        fn what_is_read_reads_as_itself(text in r"-?[0-9]{1,5}(\.[0-9]{1,18})?") {
            if let Ok(short) = parse(&text) {
                prop_assert_eq!(parse(short), Ok(short));
                prop_assert!(text.parse::<f64>().unwrap() == short.parse::<f64>().unwrap());
            }
        }
    }
}
