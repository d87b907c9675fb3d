//! Exact decimals: read as text, kept as text, never a float.

/// How many digits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision {
    /// Before the point.
    pub whole: usize,
    /// Behind it.
    pub fraction: usize,
}

/// Of amounts of transactions (contract §2.4).
pub const AMOUNT: Precision = Precision { whole: 38, fraction: 18 };

/// Of a company's capital (contract §2.2).
pub const CAPITAL: Precision = Precision { whole: 18, fraction: 2 };

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
pub fn parse(text: &str, precision: Precision) -> Result<&str, DecimalFault> {
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
    if whole.len() > precision.whole || kept_fraction > precision.fraction {
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
            assert_eq!(parse(text, AMOUNT), read, "{text:?}");
        }
        assert_eq!(parse(&"9".repeat(39), AMOUNT), Err(DecimalFault::Digits));
        assert_eq!(parse("1000.500", CAPITAL), Ok("1000.5"));
        assert_eq!(parse("1000.505", CAPITAL), Err(DecimalFault::Digits));
    }

    proptest! {
        #[test]
        fn what_is_read_reads_as_itself(text in r"-?[0-9]{1,5}(\.[0-9]{1,18})?") {
            if let Ok(short) = parse(&text, AMOUNT) {
                prop_assert_eq!(parse(short, AMOUNT), Ok(short));
                prop_assert!(text.parse::<f64>().unwrap() == short.parse::<f64>().unwrap());
            }
        }
    }
}
