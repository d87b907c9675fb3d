//! Countries by ISO 3166-1 alpha-3.

use celes::Country;

/// Reads an alpha-3 code in any case; gives it in upper case.
pub fn parse_alpha3(text: &str) -> Option<&'static str> {
    let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
    let upper = bytes.map(|byte| byte.to_ascii_uppercase());
    Country::from_alpha3(std::str::from_utf8(&upper).ok()?).ok().map(|country| country.alpha3)
}

/// Reads an alpha-2 or alpha-3 code in any case; gives the alpha-2 code in upper case.
pub fn parse_alpha2(text: &str) -> Option<&'static str> {
    let Ok(bytes) = <[u8; 2]>::try_from(text.as_bytes()) else {
        return Country::from_alpha3(parse_alpha3(text)?).ok().map(|country| country.alpha2);
    };
    let upper = bytes.map(|byte| byte.to_ascii_uppercase());
    Country::from_alpha2(std::str::from_utf8(&upper).ok()?).ok().map(|country| country.alpha2)
}

/// English name of a country by its alpha-3 code.
pub fn name(alpha3: &str) -> Option<&'static str> {
    Country::from_alpha3(alpha3).ok().map(|country| country.long_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha3_in_any_case_and_nothing_else() {
        assert_eq!(parse_alpha3("deu"), Some("DEU"));
        assert_eq!(parse_alpha3("ESP"), Some("ESP"));
        for bad in ["DE", "XYZ", "Germany", "", "DEUT", "dé"] {
            assert_eq!(parse_alpha3(bad), None, "{bad:?}");
        }
        assert_eq!(name("DEU"), Some("Germany"));
        assert_eq!(
            [parse_alpha2("gbr"), parse_alpha2("gb"), parse_alpha2("GBRX")],
            [Some("GB"), Some("GB"), None]
        );
    }
}
