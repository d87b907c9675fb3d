//! Media: the images and videos that a person's verification may link to.

use super::import::words;

words! {
    /// What a medium shows of its session; a session has at most one of each.
    MediaSlot {
        /// Front of the document.
        FrontImage = "front_image",
        /// Back of the document.
        BackImage = "back_image",
        /// Portrait on the document.
        PortraitImage = "portrait_image",
        /// Video of the document's front.
        FrontVideo = "front_video",
        /// Video of the document's back.
        BackVideo = "back_video",
        /// Face of the person.
        SelfieImage = "selfie_image",
        /// Video of the liveness check.
        LivenessVideo = "liveness_video",
    }
}

impl MediaSlot {
    /// The field that links to it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::FrontImage => "front_image_url",
            Self::BackImage => "back_image_url",
            Self::PortraitImage => "portrait_image_url",
            Self::FrontVideo => "front_video_url",
            Self::BackVideo => "back_video_url",
            Self::SelfieImage => "selfie_image_url",
            Self::LivenessVideo => "liveness_video_url",
        }
    }

    /// Whether it takes videos; all others take images.
    pub const fn is_video(self) -> bool {
        matches!(self, Self::FrontVideo | Self::BackVideo | Self::LivenessVideo)
    }
}

/// What of a URL may be kept and shown: whatever is behind the path may be a token.
pub fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// The host of a URL, with its port where that is not the usual one: media of one host wait for each other, not for
/// others.
pub fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.strip_suffix(":443").unwrap_or(host).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_without_what_stands_around_them() {
        for (url, host) in [
            ("https://cdn.example.com/a/b.jpg?token=1", "cdn.example.com"),
            ("HTTPS://CDN.Example.com:8443", "cdn.example.com:8443"),
            ("https://cdn.example.com:443/a", "cdn.example.com"),
            ("https://cdn.example.com:8443/a:443", "cdn.example.com:8443"),
            ("https://[2001:db8::443]/a", "[2001:db8::443]"),
            ("https://[2001:db8::443]:443", "[2001:db8::443]"),
            ("https://cdn.example.com?x=/y", "cdn.example.com"),
            ("https://cdn.example.com#/y", "cdn.example.com"),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
        assert_eq!(without_query("https://h.example/a?b#c"), "https://h.example/a");
        assert_eq!(without_query("https://h.example/a#c?b"), "https://h.example/a");
    }

    #[test]
    fn a_field_is_named_after_its_slot() {
        for slot in MediaSlot::ALL {
            assert_eq!(slot.field(), format!("{}_url", slot.as_str()));
            assert_eq!(slot.is_video(), slot.as_str().ends_with("_video"));
        }
    }
}
