//! Times and durations as people and programs write them.

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Earliest time that is accepted from outside: 0001-01-01.
const EARLIEST_MS: i64 = -62_135_596_800_000;
/// Latest time that is accepted from outside: 9999-12-31T23:59:59.999.
const LATEST_MS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The wall clock of this machine. Only the edges call it; everything inside takes a time.
    pub fn now() -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(LATEST_MS)))
    }

    /// This much later (earlier if negative), at the end of the range if it overflows.
    pub const fn plus_millis(self, millis: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(millis))
    }

    /// The time between `earlier` and this one, in milliseconds; negative if it is later.
    pub const fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// RFC 3339 in UTC with milliseconds: `2024-01-01T00:00:00.000Z`.
    pub fn to_rfc3339(self) -> String {
        let mut out = String::with_capacity(24);
        self.write_rfc3339(&mut out);
        out
    }

    /// Appends what [`Timestamp::to_rfc3339`] gives.
    pub fn write_rfc3339(self, out: &mut String) {
        use std::fmt::Write;
        let millis = self.0.clamp(EARLIEST_MS, LATEST_MS);
        let (days, in_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
        let millis = in_day % 1000;
        // Writing to a string cannot fail.
        let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
    }

    /// A date and time in RFC 3339 or its relatives: a blank for the `T`, no zone (UTC is meant),
    /// any number of decimals, offsets with or without a colon. `None` for anything else.
    pub fn parse_date_time(text: &str) -> Option<Timestamp> {
        parse_date_time(text.as_bytes())
    }

    /// A number that stands for a time: 13 digits and more are milliseconds (16 micro-, 19
    /// nanoseconds), fewer are seconds, with or without decimals.
    pub fn from_number(number: f64) -> Option<Timestamp> {
        let magnitude = number.abs();
        let millis = if magnitude >= 1e17 {
            number / 1e6
        } else if magnitude >= 1e14 {
            number / 1e3
        } else if magnitude >= 1e11 {
            number
        } else {
            number * 1e3
        };
        let inside = millis.is_finite() && (EARLIEST_MS as f64..=LATEST_MS as f64).contains(&millis);
        inside.then(|| Timestamp(millis.round() as i64))
    }

    /// A time parameter: RFC 3339, unix seconds (with fraction), unix milliseconds (13 digits),
    /// `now`, `now-1h30m`, `now+5m`, or a bare duration (`1h` is that long ago).
    pub fn parse_parameter(text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
        let text = text.trim();
        let unreadable = || TimeError { text: text.chars().take(80).collect() };
        if let Some(rest) = text.strip_prefix("now") {
            let rest = rest.trim();
            return match rest.as_bytes().first() {
                None => Some(now),
                Some(b'-') => parse_duration_ms(&rest[1..]).map(|d| now.plus_millis(-d)),
                Some(b'+') => parse_duration_ms(&rest[1..]).map(|d| now.plus_millis(d)),
                Some(_) => None,
            }
            .ok_or_else(unreadable);
        }
        if let Ok(number) = text.parse::<f64>() {
            return Timestamp::from_number(number).ok_or_else(unreadable);
        }
        if let Some(duration) = parse_duration_ms(text) {
            return Ok(now.plus_millis(-duration));
        }
        Timestamp::parse_date_time(text).ok_or_else(unreadable)
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no time; write RFC 3339 (2024-01-01T00:00:00Z), unix seconds or milliseconds, `now`, `now-1h30m`, or how long ago (`1h`)"
)]
pub struct TimeError {
    /// The text, cut to 80 characters.
    pub text: String,
}

/// Units of durations, in milliseconds, largest first.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// A duration as PromQL writes it (`1h30m`, `500ms`, `0s`), in milliseconds. A number before a
/// unit may have decimals (`1.5h`). `None` for anything else, a bare number too.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_length = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == &rest[..unit_length])?;
        total += number * *millis as f64;
        rest = &rest[unit_length..];
    }
    (total.is_finite() && total <= LATEST_MS as f64).then_some(total.round() as i64)
}

/// A duration in units of days and less: `1h30m`, `500ms`, `0s`; whole years or weeks in those: `1w`, but `8d`.
///
/// Source: Prometheus, which writes them so.
pub fn format_duration_ms(millis: i64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    let mut rest = millis.unsigned_abs();
    if millis < 0 {
        out.push('-');
    }
    for (name, unit) in UNITS {
        let count = rest / unit.unsigned_abs();
        let is_exact = rest.is_multiple_of(unit.unsigned_abs());
        if count > 0 && (is_exact || !matches!(name, "y" | "w")) {
            out.push_str(&count.to_string());
            out.push_str(name);
            rest %= unit.unsigned_abs();
        }
    }
    out
}

/// Days since the epoch of a civil date. Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn digits(text: &[u8], from: usize, count: usize) -> Option<i64> {
    text.get(from..from + count)?
        .iter()
        .try_fold(0i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn parse_date_time(text: &[u8]) -> Option<Timestamp> {
    let (year, month, day) = (digits(text, 0, 4)?, digits(text, 5, 2)?, digits(text, 8, 2)?);
    let separators = [text.get(4)?, text.get(7)?];
    if separators != [&b'-', &b'-'] && separators != [&b'/', &b'/'] {
        return None;
    }
    let days_in_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || year == 0 {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * 86_400_000;
    if text.len() == 10 {
        return Some(Timestamp(midnight));
    }
    if !matches!(text[10], b'T' | b't' | b' ' | b'_') || text.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (digits(text, 11, 2)?, digits(text, 14, 2)?);
    let (second, mut at) = if text.get(16) == Some(&b':') { (digits(text, 17, 2)?, 19) } else { (0, 16) };
    // A leap second is read as the last second of its minute's end.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut millis = 0;
    if matches!(text.get(at), Some(b'.' | b',')) {
        let fraction = text[at + 1..].iter().take_while(|digit| digit.is_ascii_digit()).count();
        let fraction = &text[at + 1..at + 1 + fraction];
        if fraction.is_empty() {
            return None;
        }
        for place in 0..3 {
            millis = millis * 10 + fraction.get(place).map_or(0, |digit| i64::from(digit - b'0'));
        }
        at += 1 + fraction.len();
    }
    let zone = std::str::from_utf8(&text[at..]).ok()?.trim_start();
    let offset_minutes = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let hours = digits(rest, 0, 2)?;
            let minutes = match rest.len() {
                2 => 0,
                4 => digits(rest, 2, 2)?,
                5 if rest[2] == b':' => digits(rest, 3, 2)?,
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            if *sign == b'-' { -(hours * 60 + minutes) } else { hours * 60 + minutes }
        }
        _ if zone == "UTC" || zone == "GMT" => 0,
        _ => return None,
    };
    let in_day = ((hour * 60 + minute - offset_minutes) * 60 + second) * 1000 + millis;
    Some(Timestamp(midnight + in_day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn parameters_of_every_kind() {
        for (text, millis) in [
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14T22:13:20.5+01:00", 1_699_996_400_500),
            ("2023-11-14 22:13:20,123", 1_700_000_000_123),
            ("2024-02-29", 1_709_164_800_000),
            ("1700000000", 1_700_000_000_000),
            ("1700000000.25", 1_700_000_000_250),
            ("1700000000123", 1_700_000_000_123),
            ("1700000000123456789", 1_700_000_000_123),
            ("0", 0),
            ("now", 1_700_000_000_000),
            ("now-1h30m", 1_699_994_600_000),
            ("now+1s", 1_700_000_001_000),
            ("1h", 1_699_996_400_000),
        ] {
            assert_eq!(Timestamp::parse_parameter(text, NOW).map(Timestamp::millis), Ok(millis), "{text}");
        }
        for text in
            ["", "yesterday", "now-", "now~1h", "2023-13-01", "2023-02-29", "2023-11-14T25:00:00Z", "NaN", "1e300"]
        {
            assert!(Timestamp::parse_parameter(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_read_and_print() {
        for (text, millis) in [
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1d", 86_400_000),
            ("0s", 0),
            ("1m1s1ms", 61_001),
            ("2w", 1_209_600_000),
            ("15d", 1_296_000_000),
            ("1y", 31_536_000_000),
            ("379d", 32_745_600_000),
        ] {
            assert_eq!(parse_duration_ms(text), Some(millis), "{text}");
            assert_eq!(format_duration_ms(millis), text);
        }
        for text in ["", "5", "5x", "h", "-5m", "1h 30m", "9999999999y"] {
            assert_eq!(parse_duration_ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn printed_times_read_back(millis in EARLIEST_MS..=LATEST_MS) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse_date_time(&time.to_rfc3339()), Some(time));
        }

        #[test]
        fn civil_dates_agree_with_jiff(millis in EARLIEST_MS + 86_400_000..LATEST_MS - 86_400_000) {
            let theirs = jiff::Timestamp::from_millisecond(millis).expect("in range");
            prop_assert_eq!(Timestamp::from_millis(millis).to_rfc3339(), format!("{theirs:.3}"));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let _ = Timestamp::parse_parameter(&text, NOW);
            let _ = parse_duration_ms(&text);
        }
    }
}
