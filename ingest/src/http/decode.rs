//! Content encodings: gzip, deflate, zstd, snappy. What comes out is bounded, whatever goes in.

use std::io::Read;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    /// zlib, or bare deflate as some clients send it.
    Deflate,
    Zstd,
    /// The block format, or the framed one if it starts so.
    Snappy,
}

/// Why a body cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    /// An encoding that is not known here.
    #[error("unknown Content-Encoding `{name}`")]
    Unknown {
        /// What the header says.
        name: String,
    },
    /// Not of that encoding, or cut off.
    #[error("the body is no valid {name}: {reason}")]
    Malformed {
        /// The encoding.
        name: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Longer than allowed when unpacked.
    #[error("the body is longer than {limit} bytes when unpacked")]
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// No memory for it at the moment.
    #[error("too many bodies are being worked on")]
    Busy,
}

/// Largest window of zstd that is accepted, as a power of two: 8 MiB, what every decoder must accept.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// How a framed snappy stream starts.
const SNAPPY_STREAM: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// Step in which the result grows, bytes.
const STEP_BYTES: usize = 64 << 10;
/// From this size on the result no longer grows by copying.
const LARGE_BYTES: usize = 8 << 20;

impl Encoding {
    /// Of the header's value; several encodings on top of each other are not understood.
    pub(super) fn of_header(value: &[u8]) -> Result<Encoding, DecodeError> {
        let name = value.trim_ascii();
        let known: [(&str, Encoding); 9] = [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("deflate", Encoding::Deflate),
            ("zstd", Encoding::Zstd),
            ("snappy", Encoding::Snappy),
            ("x-snappy-framed", Encoding::Snappy),
            ("x-snappy", Encoding::Snappy),
        ];
        known
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))
            .map(|(_, encoding)| *encoding)
            .ok_or_else(|| DecodeError::Unknown { name: String::from_utf8_lossy(name).chars().take(40).collect() })
    }
}

/// Unpacks a body to at most `limit` bytes; `grow` is asked before the result grows by so many bytes. What says its length
/// beforehand lies in `room` then, whose content is of no account.
pub(super) fn decode(
    encoding: Encoding,
    body: &[u8],
    limit: usize,
    mut room: Vec<u8>,
    grow: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<u8>, DecodeError> {
    match encoding {
        Encoding::Identity => Ok(body.to_vec()),
        Encoding::Gzip => read_all("gzip", flate2::read::MultiGzDecoder::new(body), limit, grow),
        Encoding::Deflate => {
            let is_zlib = matches!(body, [first, second, ..]
                if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0);
            if is_zlib {
                read_all("deflate", flate2::read::ZlibDecoder::new(body), limit, grow)
            } else {
                read_all("deflate", flate2::read::DeflateDecoder::new(body), limit, grow)
            }
        }
        Encoding::Zstd => {
            let malformed = |error: std::io::Error| DecodeError::Malformed { name: "zstd", reason: error.to_string() };
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(malformed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(malformed)?;
            read_all("zstd", decoder, limit, grow)
        }
        Encoding::Snappy if body.starts_with(SNAPPY_STREAM) => {
            read_all("snappy", snap::read::FrameDecoder::new(body), limit, grow)
        }
        Encoding::Snappy => {
            let malformed = |error: snap::Error| DecodeError::Malformed { name: "snappy", reason: error.to_string() };
            let length = snap::raw::decompress_len(body).map_err(malformed)?;
            if length > limit {
                return Err(DecodeError::TooLarge { limit });
            }
            if !grow(length) {
                return Err(DecodeError::Busy);
            }
            // Zeros are put only where nothing was before.
            room.resize(length, 0);
            let filled = snap::raw::Decoder::new().decompress(body, &mut room).map_err(malformed)?;
            room.truncate(filled);
            Ok(room)
        }
    }
}

fn read_all(
    name: &'static str,
    mut from: impl Read,
    limit: usize,
    grow: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    loop {
        let step = STEP_BYTES.max(out.len() / 2);
        if !grow(step) {
            return Err(DecodeError::Busy);
        }
        if out.len() > LARGE_BYTES && out.capacity() <= limit {
            // Room for all of it at once: address space costs nothing, copies of what is large cost memory twice.
            out.reserve_exact(limit + 1 - out.len());
        }
        let before = out.len();
        // One byte more than allowed tells "exactly the limit" from "more".
        let most = (limit - before).saturating_add(1).min(step);
        let read = from.by_ref().take(most as u64).read_to_end(&mut out);
        if let Err(error) = read {
            return Err(DecodeError::Malformed { name, reason: error.to_string() });
        }
        if out.len() > limit {
            return Err(DecodeError::TooLarge { limit });
        }
        if out.len() - before < most {
            return Ok(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    }

    fn unpack(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        decode(encoding, body, limit, vec![7; limit / 3], &mut |_| true)
    }

    #[test]
    fn every_encoding_unpacks_and_half_of_it_is_an_error() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&text).expect("memory takes all");
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        bare.write_all(&text).expect("memory takes all");
        let mut framed = snap::write::FrameEncoder::new(Vec::new());
        framed.write_all(&text).expect("memory takes all");
        for (encoding, packed) in [
            (Encoding::Gzip, gzip(&text)),
            (Encoding::Deflate, zlib.finish().expect("memory takes all")),
            (Encoding::Deflate, bare.finish().expect("memory takes all")),
            (Encoding::Zstd, zstd::encode_all(&*text, 1).expect("memory takes all")),
            (Encoding::Snappy, snap::raw::Encoder::new().compress_vec(&text).expect("short enough")),
            (Encoding::Snappy, framed.into_inner().expect("memory takes all")),
        ] {
            assert!(unpack(encoding, &packed, text.len()).is_ok_and(|out| out == text), "{encoding:?}");
            let half = unpack(encoding, &packed[..packed.len() / 2], text.len());
            assert!(
                matches!(half, Err(DecodeError::Malformed { .. })),
                "{encoding:?}: {:?}",
                half.map(|out| out.len())
            );
            let bomb = unpack(encoding, &packed, text.len() - 1);
            assert_eq!(bomb.map(|out| out.len()), Err(DecodeError::TooLarge { limit: text.len() - 1 }), "{encoding:?}");
            let busy = decode(encoding, &packed, text.len(), Vec::new(), &mut |_| false);
            assert_eq!(busy.map(|out| out.len()), Err(DecodeError::Busy), "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![b' '; 50_000_000]);
        let mut asked = 0;
        let result = decode(Encoding::Gzip, &bomb, 1 << 20, Vec::new(), &mut |bytes| {
            asked += bytes;
            true
        });
        assert_eq!(result, Err(DecodeError::TooLarge { limit: 1 << 20 }));
        assert!(asked < 4 << 20, "{asked} bytes were asked for");
    }

    #[test]
    fn headers_are_read_without_regard_to_case() {
        assert_eq!(Encoding::of_header(b" GZip "), Ok(Encoding::Gzip));
        assert_eq!(Encoding::of_header(b"br"), Err(DecodeError::Unknown { name: "br".into() }));
    }
}
