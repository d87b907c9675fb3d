//! What a file is, told from how it begins; what its server or its name says of it counts for nothing.

use super::inspect::boxes::FileType;

/// As much of a file as tells what it is.
pub(super) const HEAD: usize = 4096;

/// Kinds that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
    WebP,
    Tiff,
    Heic,
    Mp4,
    Mov,
    WebM,
}

impl Kind {
    /// The kind of a file that begins so, or a word for what it is instead.
    pub(super) fn of(head: &[u8]) -> Result<Self, &'static str> {
        match head {
            [0xff, 0xd8, 0xff, ..] => Ok(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Self::WebP),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Ok(Self::Tiff),
            [0x1a, 0x45, 0xdf, 0xa3, ..] if holds(head, b"webm") => Ok(Self::WebM),
            [0x1a, 0x45, 0xdf, 0xa3, ..] => Err("Matroska"),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Self::of_brands(&FileType::of(head)),
            // QuickTime was older than `ftyp`.
            [_, _, _, _, b'm', b'o', b'o', b'v', ..]
            | [_, _, _, _, b'm', b'd', b'a', b't', ..]
            | [_, _, _, _, b'w', b'i', b'd', b'e', ..] => Ok(Self::Mov),
            _ => Err(other(head)),
        }
    }

    fn of_brands(brands: &FileType<'_>) -> Result<Self, &'static str> {
        let says = |brand: &[u8; 4]| brands.major == brand || brands.compatible.contains(brand);
        match brands.major {
            b"avif" | b"avis" => Err("AVIF"),
            b"M4A " | b"M4B " | b"M4P " => Err("audio"),
            b"heic" | b"heix" | b"heim" | b"heis" => Ok(Self::Heic),
            b"qt  " => Ok(Self::Mov),
            b"mif1" | b"msf1" if says(b"heic") || says(b"heix") => Ok(Self::Heic),
            b"mif1" | b"msf1" | b"hevc" | b"hevx" => Err("HEIF of a kind that is not stored"),
            [b'3', b'g', b'p' | b'2', _] | b"M4V " | b"MSNV" | b"dash" => Ok(Self::Mp4),
            _ if [b"isom", b"iso2", b"mp41", b"mp42", b"avc1"].into_iter().any(says) => Ok(Self::Mp4),
            _ => Err("of an unknown kind"),
        }
    }

    /// The media type it is stored and served under.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Tiff => "image/tiff",
            Self::Heic => "image/heic",
            Self::Mp4 => "video/mp4",
            Self::Mov => "video/quicktime",
            Self::WebM => "video/webm",
        }
    }

    pub(super) const fn is_video(self) -> bool {
        matches!(self, Self::Mp4 | Self::Mov | Self::WebM)
    }
}

/// A word for what is not stored, so that its sender sees what a server gave in its place.
fn other(head: &[u8]) -> &'static str {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    match head {
        [b'G', b'I', b'F', ..] => "GIF",
        [b'%', b'P', b'D', b'F', ..] => "PDF",
        [b'B', b'M', ..] => "BMP",
        [b'P', b'K', 3, 4, ..] => "ZIP",
        [0x1f, 0x8b, ..] => "gzip",
        _ if begins(b"<!doctype html") || begins(b"<html") => "HTML",
        _ if begins(b"<svg") || (begins(b"<?xml") && holds(head, b"<svg")) => "SVG",
        _ if begins(b"<") => "XML or HTML",
        _ if begins(b"{") || begins(b"[") => "JSON",
        _ if std::str::from_utf8(head).is_ok_and(|text| !text.contains('\0')) => "text",
        _ => "of an unknown kind",
    }
}

fn holds(head: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(head, word).is_some()
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn d001_d003_d010_content_alone_tells_what_a_file_is() {
        for (head, kind) in [
            (&b"\xff\xd8\xff\xe0\0\x10JFIF"[..], Ok(Kind::Jpeg)),
            (b"\x89PNG\r\n\x1a\n", Ok(Kind::Png)),
            (b"\x89PNG\n\x1a\n", Err("of an unknown kind")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Ok(Kind::WebP)),
            (b"RIFF\x10\0\0\0WAVE", Err("of an unknown kind")),
            (b"II*\0\x08\0\0\0", Ok(Kind::Tiff)),
            (b"MM\0*\0\0\0\x08", Ok(Kind::Tiff)),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Ok(Kind::Heic)),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", Ok(Kind::Heic)),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Err("HEIF of a kind that is not stored")),
            (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", Err("AVIF")),
            (b"\0\0\0\x18ftypisom\0\0\x02\0isommp42", Ok(Kind::Mp4)),
            (b"\0\0\0\x14ftyp3gp5\0\0\0\x003gp5", Ok(Kind::Mp4)),
            (b"\0\0\0\x18ftypXYZ \0\0\0\0XYZ mp42", Ok(Kind::Mp4)),
            (b"\0\0\0\x14ftypM4A \0\0\0\0isom", Err("audio")),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", Ok(Kind::Mov)),
            (b"\0\0\0\x08wide\0\0\0\x10mdat", Ok(Kind::Mov)),
            (b"\x1aE\xdf\xa3\x9f\x42\x82\x84webm", Ok(Kind::WebM)),
            (b"\x1aE\xdf\xa3\x9f\x42\x82\x88matroska", Err("Matroska")),
            (b"GIF89a", Err("GIF")),
            (b"GIF89a/*\xff\xd8\xff*/=1;alert(1)", Err("GIF")),
            (b"%PDF-1.7\xff\xd8\xff", Err("PDF")),
            (b"\r\n <!DOCTYPE html><title>Not found</title>", Err("HTML")),
            (b"\xef\xbb\xbf<html>", Err("HTML")),
            (b"<svg xmlns='http://www.w3.org/2000/svg'><script>", Err("SVG")),
            (b"<?xml version='1.0'?><svg/>", Err("SVG")),
            (b"<Error><Code>AccessDenied</Code></Error>", Err("XML or HTML")),
            (b"{\"error\":\"gone\"}", Err("JSON")),
            (b"not found", Err("text")),
            (b"\x1f\x8b\x08", Err("gzip")),
            (b"\xff\xd8", Err("of an unknown kind")),
            (b"\0", Err("of an unknown kind")),
        ] {
            assert_eq!(Kind::of(head), kind, "{:?}", String::from_utf8_lossy(head));
        }
    }
}
