//! Event times as log lines write them. Zone-less times are UTC.

use watchfire_model::Timestamp;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A time in any of the common spellings: RFC 3339 and its relatives, unix time (seconds to nanoseconds),
/// `10/Oct/2000:13:55:36 -0700`, `Tue, 10 Oct 2000 13:55:36 GMT`, `Oct 10 13:55:36` (the latest such time
/// not after tomorrow), `Tue Oct 10 13:55:36 2000` (`ctime`), `20001010T135536Z` (ISO 8601, basic) and RFC 3339 with
/// what RFC 9557 puts behind it (`[Europe/Berlin]`). `None` for anything else.
pub fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    match text.as_bytes().first()? {
        b'0'..=b'9' | b'-' => Timestamp::parse_date_time(text).or_else(|| read_number(text)).or_else(|| {
            let separator = *text.as_bytes().get(2)?;
            let read = if separator == b'/' { read_access_log(text) } else { read_mail(text) };
            read.or_else(|| read_annotated(text)).or_else(|| read_basic(text))
        }),
        first if first.is_ascii_alphabetic() => read_bsd(text, now)
            .filter(|(_, rest)| rest.trim().is_empty())
            .map(|(time, _)| time)
            .or_else(|| match text.split_once(',') {
                Some((_, date)) => read_mail(date.trim_start()),
                None => read_ctime(text),
            }),
        _ => None,
    }
}

fn read_number(text: &str) -> Option<Timestamp> {
    text.parse::<f64>().ok().and_then(Timestamp::from_number)
}

/// `10/Oct/2000:13:55:36 -0700`, as access logs write it.
pub fn read_access_log(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once(':')?;
    let mut parts = date.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    civil(year, month, day, rest)
}

/// `10 Oct 2000 13:55:36 -0700`, the date of RFC 5322 without its weekday.
fn read_mail(text: &str) -> Option<Timestamp> {
    let mut parts = text.splitn(4, ' ');
    let (day, month, year, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    civil(year, month, day, rest)
}

/// `Tue Oct 10 13:55:36 2000`, as `ctime` writes it; `date` puts a zone before the year.
fn read_ctime(text: &str) -> Option<Timestamp> {
    let (weekday, rest) = text.split_once(' ')?;
    let mut parts = rest.split_ascii_whitespace();
    let (month, day, time, next) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let year = match parts.next() {
        Some(year) if matches!(next, "UTC" | "GMT") => year,
        Some(_) => return None,
        None => next,
    };
    let is_ctime = parts.next().is_none() && WEEKDAYS.iter().any(|name| name.eq_ignore_ascii_case(weekday));
    civil(year, month, day, time).filter(|_| is_ctime)
}

/// `2000-10-10T13:55:36Z[Europe/Berlin]`, of RFC 9557. Without an offset the name of the zone would have to tell it.
fn read_annotated(text: &str) -> Option<Timestamp> {
    let (time, _) = text.strip_suffix(']')?.split_once('[')?;
    let has_offset = time.ends_with(['Z', 'z']) || time.get(11..)?.contains(['+', '-']);
    Timestamp::parse_date_time(time).filter(|_| has_offset)
}

/// `20001010T135536Z`, the basic form of ISO 8601, with or without decimals and zone.
fn read_basic(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(8)?;
    let (time, rest) = rest.strip_prefix('T')?.split_at_checked(6)?;
    if !date.bytes().chain(time.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..]);
    Timestamp::parse_date_time(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}{rest}"))
}

/// A date of texts, and a time of day with its zone.
fn civil(year: &str, month: &str, day: &str, time_and_zone: &str) -> Option<Timestamp> {
    let month = month_number(month)?;
    let day = day.parse::<u8>().ok()?;
    if year.len() != 4 {
        return None;
    }
    Timestamp::parse_date_time(&format!("{year}-{month:02}-{day:02} {time_and_zone}"))
}

fn month_number(text: &str) -> Option<usize> {
    let at = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    Some(at + 1)
}

/// `Oct 10 13:55:36`, with an optional year behind the day and optional decimals, as BSD syslog writes it; gives
/// the time and the text behind it. Without a year it is the latest such time that is not after tomorrow.
pub fn read_bsd(text: &str, now: Timestamp) -> Option<(Timestamp, &str)> {
    let month = month_number(text.get(..3)?)?;
    let rest = text.get(3..)?.strip_prefix(' ')?.trim_start();
    let (day, rest) = rest.split_once(' ')?;
    let day = day.parse::<u8>().ok().filter(|day| (1..=31).contains(day))?;
    let rest = rest.trim_start();
    let (year, rest) = match rest.split_once(' ') {
        Some((year, rest)) if year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Some(year.parse::<i64>().ok()?), rest)
        }
        _ => (None, rest),
    };
    let length = rest
        .bytes()
        .position(|byte| !(byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b',')))
        .unwrap_or(rest.len());
    let (time, rest) = rest.split_at(length);
    let time = time.trim_end_matches(':');
    if time.len() < 8 {
        return None;
    }
    let in_year = |year: i64| Timestamp::parse_date_time(&format!("{year:04}-{month:02}-{day:02} {time}"));
    let timestamp = match year {
        Some(year) => in_year(year)?,
        None => {
            let this_year: i64 = now.to_rfc3339().get(..4)?.parse().ok()?;
            let tomorrow = now.plus_millis(86_400_000);
            // February 29 exists in one year of four, hence the years before.
            (0..8).filter_map(|back| in_year(this_year + 1 - back)).find(|time| *time <= tomorrow)?
        }
    };
    Some((timestamp, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2023-11-14T22:13:20Z
    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn common_spellings_are_read() {
        for (text, rfc3339) in [
            ("2023-11-14T22:13:20.5Z", "2023-11-14T22:13:20.500Z"),
            ("2023/11/14 22:13:20", "2023-11-14T22:13:20.000Z"),
            ("1700000000", "2023-11-14T22:13:20.000Z"),
            ("1700000000.123", "2023-11-14T22:13:20.123Z"),
            ("1700000000123456789", "2023-11-14T22:13:20.123Z"),
            ("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36.000Z"),
            ("Tue, 10 Oct 2000 13:55:36 GMT", "2000-10-10T13:55:36.000Z"),
            ("10 Oct 2000 13:55:36 +0200", "2000-10-10T11:55:36.000Z"),
            ("Oct 10 13:55:36", "2023-10-10T13:55:36.000Z"),
            ("Oct  1 13:55:36.25", "2023-10-01T13:55:36.250Z"),
            ("Nov 15 10:00:00", "2023-11-15T10:00:00.000Z"),
            ("Nov 16 10:00:00", "2022-11-16T10:00:00.000Z"),
            ("Feb 29 10:00:00", "2020-02-29T10:00:00.000Z"),
            ("Oct 10 2001 13:55:36", "2001-10-10T13:55:36.000Z"),
            ("Sun Nov 29 20:03:54 2026", "2026-11-29T20:03:54.000Z"),
            ("Sun Nov  1 20:03:54 2026", "2026-11-01T20:03:54.000Z"),
            ("Sun Nov 29 20:03:54 UTC 2026", "2026-11-29T20:03:54.000Z"),
            ("2026-11-29T20:03:54Z[Europe/Berlin]", "2026-11-29T20:03:54.000Z"),
            ("2026-11-29T20:03:54.5+01:00[Europe/Berlin][u-ca=iso8601]", "2026-11-29T19:03:54.500Z"),
            ("20261129T200354Z", "2026-11-29T20:03:54.000Z"),
            ("20261129T200354.25+0100", "2026-11-29T19:03:54.250Z"),
            ("20261129T200354", "2026-11-29T20:03:54.000Z"),
        ] {
            assert_eq!(read(text, NOW).map(Timestamp::to_rfc3339).as_deref(), Some(rfc3339), "{text}");
        }
        for text in [
            "Sun Nov 29 20:03:54 CET 2026",
            "Sum Nov 29 20:03:54 2026",
            "Sun Nov 29 20:03:54 2026 x",
            "2026-11-29T20:03:54[Europe/Berlin]",
            "2026-11-29[x]",
            "20261329T200354Z",
            "2026112éT200354",
        ] {
            assert_eq!(read(text, NOW), None, "{text}");
        }
        for text in ["", "yesterday", "12ms", "Oct 32 10:00:00", "Oct 10", "10/Oct/2000", "1/2/3", "2023-13-01", "é"] {
            assert_eq!(read(text, NOW), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}", dateish in "[A-Za-z]{3} [0-9 ]{1,4}[0-9:. ]{0,20}") {
            let _ = read(&text, NOW);
            let _ = read(&dateish, NOW);
            let _ = read_bsd(&dateish, NOW);
            let _ = read_access_log(&text);
            let _ = read(&format!("20261129T{text}"), NOW);
            let _ = read(&format!("2026-11-29T20:03:54Z[{text}]"), NOW);
        }
    }
}
