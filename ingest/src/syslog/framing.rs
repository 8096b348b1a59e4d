//! Messages out of a stream of bytes (RFC 6587): `LENGTH SP message`, or a line, which ends with a line feed or a zero.
//! Each message says which by its first bytes: digits, a blank and `<` are a length.

/// A message, or none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The message, without its framing.
    pub(super) message: &'a [u8],
    /// Whether it was cut to the longest allowed.
    pub(super) truncated: bool,
}

/// Longest length that is believed, bytes.
const COUNT_MAX: usize = 64 << 20;
/// Digits of it.
const COUNT_DIGITS_MAX: usize = 8;

/// What of a message that was cut is still to come, and to be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    Nothing,
    Bytes(usize),
    ToLineEnd,
}

/// Takes a stream apart.
#[derive(Debug)]
pub(super) struct Framing {
    limit: usize,
    skip: Skip,
}

/// What the start of the buffer is.
enum Start {
    /// A counted message: where it starts and how long it is.
    Counted(usize, usize),
    Line,
    /// More bytes are needed to tell.
    Unclear,
}

impl Framing {
    /// Messages are cut to `limit` bytes.
    pub(super) fn new(limit: usize) -> Framing {
        Framing { limit, skip: Skip::Nothing }
    }

    /// Gives every message in the buffer that is whole (or already too long); returns how many bytes of the buffer
    /// are done with. `at_end` says that nothing follows: then the rest is a message too.
    pub(super) fn take(&mut self, buffer: &[u8], at_end: bool, mut give: impl FnMut(Frame<'_>)) -> usize {
        let mut at = 0;
        while let Some(rest) = buffer.get(at..).filter(|rest| !rest.is_empty()) {
            match self.skip {
                Skip::Bytes(count) => {
                    let skipped = count.min(rest.len());
                    at += skipped;
                    self.skip = if skipped == count { Skip::Nothing } else { Skip::Bytes(count - skipped) };
                    continue;
                }
                Skip::ToLineEnd => {
                    match memchr::memchr2(b'\n', 0, rest) {
                        Some(end) => {
                            at += end + 1;
                            self.skip = Skip::Nothing;
                        }
                        None => at = buffer.len(),
                    }
                    continue;
                }
                Skip::Nothing => {}
            }
            // Line feeds between counted messages, and zeros that some senders put behind them.
            if matches!(rest.first(), Some(b'\n' | b'\r' | 0)) {
                at += 1;
                continue;
            }
            match start_of(rest) {
                Start::Unclear if !at_end => break,
                Start::Counted(header, length) => {
                    let have = rest.len() - header;
                    let kept = length.min(self.limit);
                    if have < kept && !at_end {
                        break;
                    }
                    let end = header + kept.min(have);
                    give(Frame {
                        message: rest.get(header..end).unwrap_or_default(),
                        truncated: kept.min(have) < length,
                    });
                    at += end;
                    if length > kept {
                        self.skip = Skip::Bytes(length - kept);
                    }
                }
                Start::Line | Start::Unclear => match memchr::memchr2(b'\n', 0, rest) {
                    Some(end) => {
                        let line = rest.get(..end).unwrap_or_default();
                        give(Frame {
                            message: line.get(..self.limit).unwrap_or(line),
                            truncated: line.len() > self.limit,
                        });
                        at += end + 1;
                    }
                    None if rest.len() > self.limit => {
                        give(Frame { message: rest.get(..self.limit).unwrap_or_default(), truncated: true });
                        at = buffer.len();
                        self.skip = Skip::ToLineEnd;
                    }
                    None if at_end => {
                        give(Frame { message: rest, truncated: false });
                        at = buffer.len();
                    }
                    None => break,
                },
            }
        }
        at
    }
}

fn start_of(bytes: &[u8]) -> Start {
    let mut length = 0usize;
    for (at, byte) in bytes.iter().enumerate().take(COUNT_DIGITS_MAX + 1) {
        match byte {
            b'0' if at == 0 => return Start::Line,
            b'0'..=b'9' => length = length * 10 + usize::from(byte - b'0'),
            b' ' if at > 0 => {
                return match bytes.get(at + 1) {
                    None => Start::Unclear,
                    Some(b'<') if length <= COUNT_MAX => Start::Counted(at + 1, length),
                    Some(_) => Start::Line,
                };
            }
            _ => return Start::Line,
        }
    }
    if bytes.len() <= COUNT_DIGITS_MAX { Start::Unclear } else { Start::Line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All messages of a stream that comes in the given pieces.
    fn messages(pieces: &[&[u8]], limit: usize) -> Vec<(Vec<u8>, bool)> {
        let mut framing = Framing::new(limit);
        let mut buffer = Vec::new();
        let mut found = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            buffer.extend_from_slice(piece);
            let used = framing
                .take(&buffer, at + 1 == pieces.len(), |frame| found.push((frame.message.to_vec(), frame.truncated)));
            buffer.drain(..used);
        }
        found
    }

    fn texts(stream: &[u8], limit: usize) -> Vec<String> {
        messages(&[stream], limit)
            .into_iter()
            .map(|(message, cut)| String::from_utf8_lossy(&message).into_owned() + if cut { "…" } else { "" })
            .collect()
    }

    #[test]
    fn both_framings_on_one_stream() {
        assert_eq!(
            texts(b"5 <1>ab<2>line\n6 <3>c\nd7 <4>last", 99),
            ["<1>ab", "<2>line", "<3>c\nd", "<4>las…"][..3]
                .to_vec()
                .into_iter()
                .map(str::to_owned)
                .chain(["<4>last".to_owned()])
                .collect::<Vec<_>>()
        );
        assert_eq!(
            texts(b"12 monkeys\n2024-01-01 x\n<1>a\n\n<2>b", 99),
            ["12 monkeys", "2024-01-01 x", "<1>a", "<2>b"]
        );
        assert_eq!(texts(b"9 <1>ab", 99), ["<1>ab…"]);
        assert_eq!(texts(b"999999999 <1>ab\n", 99), ["999999999 <1>ab"]);
    }

    #[test]
    fn a_zero_ends_a_line_too() {
        assert_eq!(texts(b"<1>a\0<2>b\0", 99), ["<1>a", "<2>b"]);
        assert_eq!(
            texts(b"<1>a\n\0<2>b\0\n5 <3>c\0<4>abcde\0<5>d\0", 6),
            ["<1>a", "<2>b", "<3>c\0", "<4>abc…", "<5>d"]
        );
    }

    #[test]
    fn long_messages_are_cut_and_their_rest_is_skipped() {
        assert_eq!(texts(b"<1>abcdefgh\n<2>x\n", 5), ["<1>ab…", "<2>x"]);
        assert_eq!(texts(b"11 <1>abcdefgh4 <2>x", 5), ["<1>ab…", "<2>x"]);
        let long = [b"<1>".as_slice(), &[b'x'; 1000], b"\n<2>y\n"].concat();
        let pieces: Vec<&[u8]> = long.chunks(7).collect();
        let found = messages(&pieces, 20);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0.len(), found[0].1, &*found[1].0), (20, true, &b"<2>y"[..]));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            parts in prop::collection::vec(("[0-9<> a-z]{0,12}", any::<bool>()), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut stream = Vec::new();
            for (text, counted) in &parts {
                if *counted {
                    stream.extend_from_slice(format!("{} <1>{text}", text.len() + 3).as_bytes());
                } else {
                    stream.extend_from_slice(format!("<2>{text}\n").as_bytes());
                }
            }
            let whole = messages(&[&stream], 1000);
            let expected: Vec<Vec<u8>> =
                parts.iter().map(|(text, counted)| format!("<{}>{text}", if *counted { 1 } else { 2 }).into_bytes()).collect();
            let texts: Vec<Vec<u8>> = whole.iter().map(|(text, _)| text.clone()).collect();
            prop_assert_eq!(&texts, &expected);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.sort_unstable();
            let mut pieces: Vec<&[u8]> = Vec::new();
            let mut from = 0;
            for cut in at {
                pieces.push(&stream[from..cut]);
                from = cut;
            }
            pieces.push(&stream[from..]);
            prop_assert_eq!(messages(&pieces, 1000), whole);
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300), limit in 1usize..50) {
            for (message, _) in messages(&[&bytes], limit) { prop_assert!(message.len() <= limit); }
        }
    }
}
