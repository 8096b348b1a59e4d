//! Event times as log lines write them. Zone-less times are UTC.

use watchfire_model::Timestamp;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A time in any of the common spellings: RFC 3339 and its relatives, unix time (seconds to nanoseconds),
/// `10/Oct/2000:13:55:36 -0700`, `Tue, 10 Oct 2000 13:55:36 GMT`, `Oct 10 13:55:36` (the latest such time
/// not after tomorrow). `None` for anything else.
pub fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    match text.as_bytes().first()? {
        b'0'..=b'9' | b'-' => Timestamp::parse_date_time(text).or_else(|| read_number(text)).or_else(|| {
            let separator = *text.as_bytes().get(2)?;
            if separator == b'/' { read_access_log(text) } else { read_mail(text) }
        }),
        first if first.is_ascii_alphabetic() => {
            read_bsd(text, now).filter(|(_, rest)| rest.trim().is_empty()).map(|(time, _)| time).or_else(|| {
                let (_, date) = text.split_once(',')?;
                read_mail(date.trim_start())
            })
        }
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
        ] {
            assert_eq!(read(text, NOW).map(Timestamp::to_rfc3339).as_deref(), Some(rfc3339), "{text}");
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
        }
    }
}
