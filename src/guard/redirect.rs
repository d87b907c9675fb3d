//! Where a response leads, if it does.

use std::time::Duration;

use chrono::DateTime;
use reqwest::{
    Response, StatusCode,
    header::{HeaderMap, LOCATION, RETRY_AFTER},
};
use url::Url;

use super::{
    error::FetchError,
    policy::Policy,
    url::{self as urls},
};
use crate::clock;

/// The next URL to ask, checked as if a caller had given it; nothing if this is the answer.
pub(super) fn next(url: &Url, response: &Response, policy: &Policy) -> Result<Option<Url>, FetchError> {
    let follows = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !follows {
        return Ok(None);
    }
    let mut all = response.headers().get_all(LOCATION).iter();
    // Two of them are two opinions, and a client may follow either.
    let (Some(location), None) = (all.next(), all.next()) else { return Err(FetchError::BadRedirect) };
    let location = location.to_str().map_err(|_| FetchError::BadRedirect)?;
    if location.is_empty() || urls::check_characters(location).is_err() {
        return Err(FetchError::BadRedirect);
    }
    // What is a URL on its own is read as it stands: once joined, its oddities are gone.
    let joined = match Url::parse(location) {
        Ok(_) => location.to_owned(),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            url.join(location).map_err(|_| FetchError::BadRedirect)?.into()
        }
        Err(_) => return Err(FetchError::BadRedirect),
    };
    Ok(Some(urls::parse(&joined, policy)?))
}

/// What a `Retry-After` asks for, as seconds or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(date.signed_duration_since(clock::now()).to_std().unwrap_or_default())
}
