//! Flags of media.

use clap::{Args, ValueEnum};

use super::parse_bytes;
use crate::domain::import::MediaPolicy;

/// Images and videos that rows link to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Media")]
pub struct MediaArgs {
    /// What becomes of media of imports that do not say; a server without a way out skips them
    #[arg(
        long = "media-default",
        env = "CARRYOVER_MEDIA_DEFAULT",
        default_value = "fetch",
        value_enum,
        value_name = "POLICY"
    )]
    pub policy: Media,

    /// Media fetched at a time
    #[arg(long = "media-at-a-time", env = "CARRYOVER_MEDIA_AT_A_TIME", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "N")]
    pub at_a_time: u16,

    /// Of these, from one host; one that does not answer is asked for one at a time
    #[arg(long = "media-per-host", env = "CARRYOVER_MEDIA_PER_HOST", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub per_host: u16,

    /// Of these, for one import
    #[arg(long = "media-per-import", env = "CARRYOVER_MEDIA_PER_IMPORT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub per_import: u16,

    /// Of these, for one application, so that its slow servers leave room for others
    #[arg(long = "media-per-application", env = "CARRYOVER_MEDIA_PER_APPLICATION", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub per_application: u16,

    /// Seconds that a server may keep the fetching of one medium waiting in all
    #[arg(long = "media-seconds", env = "CARRYOVER_MEDIA_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub seconds: u64,

    /// Tries of a medium whose server does not answer, or says that it cannot at the moment
    #[arg(long = "media-attempts", env = "CARRYOVER_MEDIA_ATTEMPTS", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    pub attempts: u32,

    /// Bytes of one image
    #[arg(long = "max-image-bytes", env = "CARRYOVER_MAX_IMAGE_BYTES", default_value = "20MiB", value_parser = parse_bytes, value_name = "BYTES")]
    pub image_bytes: u64,

    /// Pixels of one image, of which no side may be longer than 30,000
    #[arg(long = "max-image-pixels", env = "CARRYOVER_MAX_IMAGE_PIXELS", default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub image_pixels: u64,

    /// Bytes of one video
    #[arg(long = "max-video-bytes", env = "CARRYOVER_MAX_VIDEO_BYTES", default_value = "200MiB", value_parser = parse_bytes, value_name = "BYTES")]
    pub video_bytes: u64,

    /// Bytes of media fetched for one import; what would pass it fails. A spec can only ask for less
    #[arg(long = "max-media-bytes", env = "CARRYOVER_MAX_MEDIA_BYTES", default_value = "50GiB", value_parser = parse_bytes, value_name = "BYTES")]
    pub total_bytes: u64,
}

/// What becomes of the media that rows link to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Media {
    /// They are fetched and stored
    Fetch,
    /// They are left where they are
    Skip,
}

impl From<Media> for MediaPolicy {
    fn from(media: Media) -> Self {
        match media {
            Media::Fetch => Self::Fetch,
            Media::Skip => Self::Skip,
        }
    }
}
