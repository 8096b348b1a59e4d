//! From when until when a certificate counts: the one field of X.509 that we read ourselves.

use watchfire_model::Timestamp;

/// Both ends, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub begins: Timestamp,
    /// The last moment.
    pub ends: Timestamp,
}

// Tags of DER (X.690), as far as they come before the validity (RFC 5280, 4.1).
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Reads it from a certificate in DER; `None` if this is none.
///
/// `Certificate { tbs { [0] version?, serial, algorithm, issuer, validity { begins, ends }, … }, … }`
pub fn validity(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, after)) = expect(rest, VERSION) {
        rest = after;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = expect(rest, tag)?.1;
    }
    let (times, _) = expect(rest, SEQUENCE)?;
    let (begins, times) = time(times)?;
    let (ends, _) = time(times)?;
    Some(Validity { begins, ends })
}

/// The content of an element with this tag at the begin, and what follows it.
fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(input)?;
    (found == tag).then_some((content, rest))
}

fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // So many bytes of length follow; nothing that fits in memory needs more than four.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` (1950 to 2049) or `YYYYMMDDHHMMSSZ`.
fn time(input: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (tag, content, rest) = element(input)?;
    let text = std::str::from_utf8(content).ok().filter(|text| text.is_ascii())?;
    let (century, digits) = match tag {
        UTC_TIME => (if text < "5" { "20" } else { "19" }, text),
        GENERALIZED_TIME => (text.get(..2)?, text.get(2..)?),
        _ => return None,
    };
    let digits = digits.strip_suffix('Z').filter(|digits| digits.len() == 12)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).unwrap_or_default();
    let written = format!("{century}{}-{}-{}T{}:{}:{}Z", part(0), part(2), part(4), part(6), part(8), part(10));
    Some((Timestamp::parse_date_time(&written)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_validity_is_read_from_real_certificates() {
        for (first, last, begins, ends) in [
            ((2020, 1, 2), (2030, 12, 31), "2020-01-02T00:00:00.000Z", "2030-12-31T00:00:00.000Z"),
            ((1999, 5, 6), (2050, 1, 1), "1999-05-06T00:00:00.000Z", "2050-01-01T00:00:00.000Z"),
        ] {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            params.not_before = rcgen::date_time_ymd(first.0, first.1, first.2);
            params.not_after = rcgen::date_time_ymd(last.0, last.1, last.2);
            let key = rcgen::KeyPair::generate().expect("a key");
            let der = params.self_signed(&key).expect("a certificate").der().to_vec();
            let read = validity(&der).expect("it is a certificate");
            assert_eq!((read.begins.to_rfc3339(), read.ends.to_rfc3339()), (begins.to_owned(), ends.to_owned()));
            for length in 0..der.len().min(200) {
                assert_eq!(validity(&der[..length]), None, "cut at {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
            let _ = validity(&bytes);
            let mut changed = vec![0x30, 0x82, 0x01, 0x00, 0x30, 0x81, 0xf0];
            changed.extend(&bytes);
            if let Some(byte) = changed.get_mut(at) { *byte ^= 0xff; }
            let _ = validity(&changed);
        }
    }
}
