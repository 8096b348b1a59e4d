//! What is no text, by its first bytes: it would become records of rubbish.

/// How many first bytes tell whether it is text.
pub(super) const LOOKED_AT_BYTES: usize = 8 << 10;
/// Where the magic of tar stands.
const TAR_MAGIC_AT: usize = 257;
/// Of text, at most one byte of so many is none of UTF-8. In text of an older encoding with Latin letters it is one of
/// twenty, in bytes by chance nearly every second one.
const TEXT_BYTES_PER_STRAY: usize = 4;

/// How the first entry of `journalctl -o export` begins.
const JOURNAL_START: &[u8] = b"__CURSOR=";

/// How to make text of files packed in ways that are not unpacked here: magic number, name, command.
const PACKED: [(&[u8], &str, &str); 7] = [
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz", "`xz -dc FILE | watchfire import logs --service NAME -`"),
    (b"BZh", "bzip2", "`bzip2 -dc FILE | watchfire import logs --service NAME -`"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4", "`lz4 -dc FILE | watchfire import logs --service NAME -`"),
    (b"PK\x03\x04", "zip", "`unzip FILE -d FOLDER`, and import the folder"),
    (b"PK\x05\x06", "zip", "`unzip FILE -d FOLDER`, and import the folder"),
    (&[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], "7z", "`7z x FILE -oFOLDER`, and import the folder"),
    (&[0xff, 0xfe], "UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE | watchfire import logs --service NAME -`"),
];

/// Why bytes, unpacked from gzip and zstd, are not text, and how to mend it; `None` if they are. `is_framed`: the format
/// has binary parts by right (the journal's export).
pub(super) fn problem(start: &[u8], is_framed: bool) -> Option<String> {
    let start = start.get(..LOOKED_AT_BYTES).unwrap_or(start);
    let packed =
        PACKED.iter().find(|(magic, name, _)| start.starts_with(magic) && (*name != "bzip2" || is_bzip2(start)));
    if let Some((_, name, command)) = packed {
        return Some(format!("it is {name}, which is not read here; do {command}"));
    }
    if start.get(TAR_MAGIC_AT..).is_some_and(|rest| rest.starts_with(b"ustar")) {
        return Some(
            "it is a tar archive, which is not read here; do `tar -xf FILE -C FOLDER`, and import the folder".into(),
        );
    }
    if is_framed {
        return None;
    }
    if start.contains(&0) && start.starts_with(JOURNAL_START) {
        return Some("it is an export of the journal; import it with `--format journald`".into());
    }
    if start.contains(&0) {
        return Some("it is no text: there are zero bytes in it".into());
    }
    (strays(start) * TEXT_BYTES_PER_STRAY > start.len()).then(|| {
        "it is no text in UTF-8; text in another encoding is made so by `iconv -f ENCODING -t UTF-8 FILE`".into()
    })
}

/// The level of packing, and the magic of the first block or of the end.
fn is_bzip2(start: &[u8]) -> bool {
    let rest = start.get(4..).unwrap_or_default();
    matches!(start.get(3), Some(b'1'..=b'9'))
        && (rest.starts_with(&[0x31, 0x41, 0x59, 0x26, 0x53, 0x59])
            || rest.starts_with(&[0x17, 0x72, 0x45, 0x38, 0x50, 0x90]))
}

/// How many bytes are none of UTF-8, or control characters that no log has.
fn strays(start: &[u8]) -> usize {
    start
        .utf8_chunks()
        .map(|chunk| {
            let controls =
                chunk.valid().chars().filter(|c| c.is_ascii_control() && !matches!(c, '\t'..='\r' | '\u{1b}'));
            controls.count() + chunk.invalid().len()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::problem;

    /// Bytes by chance, none of them zero.
    fn chance(count: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8 | 1
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn text_is_told_from_what_is_none() {
        let mut tar = b"app.log".to_vec();
        tar.resize(257, 0);
        tar.extend_from_slice(b"ustar  \0");
        let latin =
            b"caf\xe9 d\xe9j\xe0 vu, gar\xe7on: ERROR connection refused by peer after three attempts\n".repeat(200);
        // Cut within a letter.
        let cut = "ü".repeat(5000);
        let cut = format!("a{cut}");
        for (bytes, wanted) in [
            (&b"\xfd7zXZ\0\0\x04"[..], Some("xz")),
            (b"BZh91AY&SY\x01", Some("bzip2")),
            (b"BZh is how my line begins\n", None),
            (b"\x04\x22\x4d\x18d", Some("lz4")),
            (b"PK\x03\x04\x14", Some("zip")),
            (b"7z\xbc\xaf\x27\x1c\0", Some("7z")),
            (b"\xff\xfea\0\n\0", Some("UTF-16")),
            (&tar, Some("tar archive")),
            (b"a\0b\n", Some("zero bytes")),
            (b"__CURSOR=c\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\n", Some("--format journald")),
            (&chance(100), Some("no text")),
            (&chance(20_000), Some("no text")),
            (b"plain\r\n\x1b[31mred\x1b[0m\n", None),
            (cut.as_bytes(), None),
            (&latin, None),
            (b"", None),
        ] {
            let problem = problem(bytes, false);
            assert_eq!(problem.is_some(), wanted.is_some(), "{bytes:?}: {problem:?}");
            assert!(problem.unwrap_or_default().contains(wanted.unwrap_or_default()));
        }
        assert_eq!(problem(b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n", true), None);
        assert!(problem(b"\xfd7zXZ\0\0\x04", true).is_some());
    }
}
