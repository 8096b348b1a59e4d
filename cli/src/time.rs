//! Times as people write them, in their time zone; the one place of the command line that reads and shows times.

use std::str::FromStr;

use clap::Args;
use jiff::civil::{self, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Zoned};
use watchfire_model::Timestamp;
use watchfire_model::time::parse_duration_ms;

use crate::failure::Failure;
use crate::spoken;

/// The time zone that times are read and shown in.
#[derive(Args, Clone, Debug, Default)]
pub struct Zone {
    /// Time zone of times without one, and of what is shown (`UTC`, `Europe/Berlin`); this machine's unless said.
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
}

/// A range of time.
#[derive(Args, Clone, Debug, Default)]
pub struct Period {
    /// From that long ago, or from that time on: `1h`, `2 days ago`, `yesterday 14:00`, `2026-11-28 10:00`.
    #[arg(long, value_name = "TIME", conflicts_with = "start", allow_hyphen_values = true)]
    since: Option<String>,
    /// The range's begin; also RFC 3339, unix seconds or milliseconds, `now-1h`.
    #[arg(long, alias = "from", value_name = "TIME", allow_hyphen_values = true)]
    start: Option<String>,
    /// The range's end, in the same spellings; now unless said.
    #[arg(long, alias = "to", value_name = "TIME", allow_hyphen_values = true)]
    end: Option<String>,
    #[command(flatten)]
    zone: Zone,
}

impl Period {
    /// The clock of the range's zone, its begin and its end, as far as they are given.
    pub fn read(&self) -> Result<(Clock, Option<Timestamp>, Option<Timestamp>), Failure> {
        let start = match (&self.since, &self.start) {
            (Some(text), _) => Some(("--since", text.as_str())),
            (None, start) => start.as_ref().map(|text| ("--start", text.as_str())),
        };
        self.zone.range(start, self.end.as_ref().map(|text| ("--end", text.as_str())))
    }
}

impl Zone {
    /// The clock of this zone, and a range as two flags say it: their names and values, as far as they are given.
    pub fn range(
        &self,
        start: Option<(&str, &str)>,
        end: Option<(&str, &str)>,
    ) -> Result<(Clock, Option<Timestamp>, Option<Timestamp>), Failure> {
        let clock = self.clock()?;
        let read = |given: Option<(&str, &str)>| given.map(|(flag, text)| clock.read(flag, text)).transpose();
        let (start, end) = (read(start)?, read(end)?);
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            let (start, end) = (clock.show(start), clock.show(end));
            return Err(Failure::Usage(format!("the range ends ({end}) before it begins ({start})")));
        }
        Ok((clock, start, end))
    }

    /// A time as a flag says it, if it is given.
    pub fn read(&self, flag: &str, text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
        let clock = self.clock()?;
        text.map(|text| clock.read(flag, text)).transpose()
    }

    /// A clock of this zone, set to now.
    pub fn clock(&self) -> Result<Clock, Failure> {
        let zone = match &self.tz {
            None => TimeZone::system(),
            Some(name) => zone(name).ok_or_else(|| {
                let told = format!("--tz: `{name}` is no time zone; write UTC, Europe/Berlin or +02:00");
                Failure::Usage(told)
            })?,
        };
        Ok(Clock::new(jiff::Timestamp::now().to_zoned(zone)))
    }
}

/// A moment that is called now, and a time zone.
#[derive(Clone, Debug)]
pub struct Clock {
    now: Zoned,
}

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no time; write 1h, 2 days ago, in 2 hours, 14:00, yesterday 14:00, next monday 9:30, 2026-11-28 10:00, RFC 3339, unix seconds, or now-1h30m"
)]
pub struct NoTime(String);

/// Smaller numbers are no seconds since the epoch: they are of before March 1973, and `20261128` is a day.
const EPOCH_SECONDS_MIN: f64 = 1e8;

impl Clock {
    /// Of a moment in its zone.
    pub const fn new(now: Zoned) -> Clock {
        Clock { now }
    }

    /// Of the epoch, in UTC: for tests, and where no zone is asked for.
    pub fn utc() -> Clock {
        Clock::new(jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        from_jiff(self.now.timestamp())
    }

    /// Reads the value of a flag.
    pub fn read(&self, flag: &str, text: &str) -> Result<Timestamp, Failure> {
        self.parse(text).map_err(|error| Failure::Usage(format!("{flag}: {error}")))
    }

    /// Reads a time. What has no zone is meant in the clock's; a bare duration is that long ago; a time of day is
    /// today's, behind the name of a weekday that of the last such day, with `next` before it that of the next one.
    pub fn parse(&self, text: &str) -> Result<Timestamp, NoTime> {
        let read = self.plain(text.trim()).or_else(|| {
            let spellings = spoken::spellings(text, self.now.date());
            spellings.iter().find_map(|spelling| self.plain(spelling))
        });
        read.ok_or_else(|| NoTime(crate::text::safe(&text.chars().take(80).collect::<String>()).into_owned()))
    }

    fn plain(&self, text: &str) -> Option<Timestamp> {
        let plain = text.to_ascii_lowercase();
        self.relative(&plain).or_else(|| self.on_a_day(text, &plain).filter(|_| !plain.is_empty()))
    }

    /// `now-5m`, a number, a duration, `2 days ago`, `in 2 days`, `+2h`.
    fn relative(&self, text: &str) -> Option<Timestamp> {
        if let Some(length) = text.strip_prefix("in ").or_else(|| text.strip_prefix('+')) {
            return self.ahead(length);
        }
        // `10.30` is a time of day that somebody slipped on, and no moment of 1970.
        let is_number = text.parse().is_ok_and(|number: f64| number == 0.0 || number.abs() >= EPOCH_SECONDS_MIN);
        if text.starts_with("now") || is_number || parse_duration_ms(text).is_some() {
            return Timestamp::parse_parameter(text, self.now()).ok();
        }
        // `9:05:01` is a time of day here.
        let span = Span::from_str(text).ok().filter(|_| !text.contains(':'))?;
        // A date is no span; `2 days` means the same as `2 days ago`.
        let ago = if span.is_negative() { span } else { -span };
        let moment = self.now.checked_add(ago).ok()?;
        Some(from_jiff(moment.timestamp()))
    }

    /// So long from now.
    fn ahead(&self, length: &str) -> Option<Timestamp> {
        if let Some(millis) = parse_duration_ms(length) {
            return Some(self.now().plus_millis(millis));
        }
        let is_ahead = |span: &Span| !span.is_negative() && !length.contains(':') && !length.ends_with("ago");
        let span = Span::from_str(length).ok().filter(is_ahead)?;
        Some(from_jiff(self.now.checked_add(span).ok()?.timestamp()))
    }

    /// A day, a time of day, or both, and perhaps a zone.
    fn on_a_day(&self, text: &str, plain: &str) -> Option<Timestamp> {
        let (day, rest) = match plain.split_once([' ', 't', '_']) {
            Some((day, rest)) if day.starts_with(|c: char| c.is_ascii_digit()) && !day.contains(':') => (day, rest),
            _ => plain.split_once(' ').unwrap_or((plain, "")),
        };
        let Some(date) = self.date(day) else {
            // No day: a time of day alone. A zone alone is none.
            let has_time = time_length(plain) > 0;
            return has_time.then(|| self.time_and_zone(self.now.date(), text, plain)).flatten();
        };
        let rest_text = text.get(text.len() - rest.len()..)?;
        self.time_and_zone(date, rest_text.trim_start(), rest.trim_start())
    }

    fn date(&self, day: &str) -> Option<civil::Date> {
        let today = self.now.date();
        match day {
            "today" => return Some(today),
            "yesterday" => return today.yesterday().ok(),
            "tomorrow" => return today.tomorrow().ok(),
            _ => {}
        }
        if day.len() == "20261128".len() && day.bytes().all(|digit| digit.is_ascii_digit()) {
            return civil::Date::strptime("%Y%m%d", day).ok().filter(|date| date.year() >= 1000);
        }
        let Some(weekday) = weekday(day) else {
            let mut parts = day.split(['-', '/']).map(str::parse::<i16>);
            let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
            let date = civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
            return (parts.next().is_none() && year >= 1000).then_some(date);
        };
        // The last such day before today.
        today.nth_weekday(-1, weekday).ok()
    }

    /// `14:00`, `9:30:01.5`, `2pm`, `noon`, `24:00`, nothing (midnight), and a zone behind it, on a day.
    fn time_and_zone(&self, date: civil::Date, text: &str, plain: &str) -> Option<Timestamp> {
        let end = time_length(plain);
        let shown = match plain.get(..end)? {
            "24:00" | "24:00:00" => date.tomorrow().ok()?.to_datetime(civil::Time::midnight()),
            time => date.to_datetime(clock_time(time)?),
        };
        let zone_text = text.get(end..)?.trim();
        let zone = if zone_text.is_empty() { self.now.time_zone().clone() } else { zone(zone_text)? };
        Some(from_jiff(shown.to_zoned(zone).ok()?.timestamp()))
    }

    /// Date and time with milliseconds: `2026-11-28 10:00:00.000`.
    pub fn show(&self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S%.3f")
    }

    /// Time of day with milliseconds.
    pub fn show_time(&self, at: Timestamp) -> String {
        self.format(at, "%H:%M:%S%.3f")
    }

    /// For the marks of an axis over a range of so many milliseconds: as much as tells its ends apart.
    pub fn show_mark(&self, at: Timestamp, range_ms: i64) -> String {
        let pattern = match range_ms {
            ..=600_000 => "%H:%M:%S",
            600_001..=86_400_000 => "%H:%M",
            86_400_001..=604_800_000 => "%a %H:%M",
            _ => "%Y-%m-%d",
        };
        self.format(at, pattern)
    }

    fn format(&self, at: Timestamp, pattern: &str) -> String {
        let Ok(time) = jiff::Timestamp::from_millisecond(at.millis()) else { return at.to_rfc3339() };
        time.to_zoned(self.now.time_zone().clone()).strftime(pattern).to_string()
    }
}

/// `mon`, `monday`.
pub(crate) fn weekday(name: &str) -> Option<Weekday> {
    match name {
        "mon" | "monday" => Some(Weekday::Monday),
        "tue" | "tues" | "tuesday" => Some(Weekday::Tuesday),
        "wed" | "wednesday" => Some(Weekday::Wednesday),
        "thu" | "thurs" | "thursday" => Some(Weekday::Thursday),
        "fri" | "friday" => Some(Weekday::Friday),
        "sat" | "saturday" => Some(Weekday::Saturday),
        "sun" | "sunday" => Some(Weekday::Sunday),
        _ => None,
    }
}

fn from_jiff(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}

/// `Z`, `UTC`, `+02:00`, `Europe/Berlin`.
fn zone(text: &str) -> Option<TimeZone> {
    if ["z", "utc", "gmt"].contains(&text.to_ascii_lowercase().as_str()) {
        return Some(TimeZone::UTC);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return TimeZone::get(text).ok(),
    };
    let digits: String = text.get(1..)?.chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..).filter(|text| !text.is_empty()).map_or(Ok(0), str::parse).ok()?;
    let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
    (hours < 24 && minutes < 60).then(|| offset.to_time_zone())
}

/// How many bytes of a text, from its begin, are a time of day.
fn time_length(text: &str) -> usize {
    let ends_word = |word: &&str| !text[word.len()..].starts_with(|c: char| c.is_ascii_alphabetic());
    if let Some(word) = ["noon", "midnight"].into_iter().find(|word| text.starts_with(word)) {
        return if ends_word(&word) { word.len() } else { 0 };
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(text.len());
    let half = ["am", "pm"].into_iter().find(|half| text[digits..].starts_with(half));
    // `10:00 America/New_York` may stand without its blank.
    half.map(|half| &text[..digits + half.len()]).filter(ends_word).map_or(digits, str::len)
}

fn clock_time(text: &str) -> Option<civil::Time> {
    match text {
        "" | "midnight" => return Some(civil::Time::midnight()),
        "noon" => return civil::Time::new(12, 0, 0, 0).ok(),
        _ => {}
    }
    let (text, afternoon) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(text), _) => (text, Some(false)),
        (None, Some(text)) => (text, Some(true)),
        (None, None) => (text, None),
    };
    let mut parts = text.split(':');
    let mut hour: i8 = parts.next()?.parse().ok()?;
    let minute: i8 = match parts.next() {
        Some(minute) if minute.len() == 2 => minute.parse().ok()?,
        // A bare number is no time, `2pm` is.
        None if afternoon.is_some() => 0,
        _ => return None,
    };
    let (second, nanos) = match parts.next() {
        None => (0, 0),
        Some(second) => seconds(second)?,
    };
    if let Some(afternoon) = afternoon {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    if parts.next().is_some() { None } else { civil::Time::new(hour, minute, second, nanos).ok() }
}

/// Seconds with decimals, as seconds and nanoseconds.
fn seconds(text: &str) -> Option<(i8, i32)> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    if whole.len() != 2 || fraction.is_empty() || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some((whole.parse().ok()?, nanos.parse().ok()?))
}

/// Reads a step: a duration, or seconds as a bare number.
pub fn read_step(text: &str) -> Result<i64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds < 1e9).map(|seconds| (seconds * 1000.0) as i64);
    let millis = seconds.or_else(|| parse_duration_ms(text)).filter(|millis| *millis > 0);
    millis.ok_or_else(|| format!("`{text}` is no step; write 15s, 1m or a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A Saturday in Berlin, at 12:30.
    fn clock() -> Clock {
        let berlin = TimeZone::get("Europe/Berlin").expect("the zone is known");
        let now = civil::date(2026, 11, 28).at(12, 30, 0, 0).to_zoned(berlin);
        Clock::new(now.expect("a time"))
    }

    #[test]
    fn times_as_people_write_them() {
        for line in include_str!("../tests/times.txt").lines().filter(|line| !line.starts_with('#')) {
            let (text, wanted) = line.split_once(" => ").expect("a text and its time");
            let read = clock().parse(text.trim()).map_or_else(|_| "no time".to_owned(), Timestamp::to_rfc3339);
            assert_eq!(read, wanted, "`{text}`");
        }
    }

    #[test]
    fn shown_in_the_zone() {
        let at = Timestamp::from_millis(1_782_000_000_123);
        assert_eq!(clock().show(at), "2026-06-21 02:00:00.123");
        assert_eq!(clock().show_mark(at, 3_600_000), "02:00");
        assert_eq!(clock().show_mark(at, 3_600_000_000), "2026-06-21");
    }

    #[test]
    fn steps() {
        assert_eq!(read_step("15s"), Ok(15_000));
        assert_eq!(read_step("0.5"), Ok(500));
        for text in ["0", "-1m", "soon", ""] {
            assert!(read_step(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            let _ = clock().parse(&text);
        }

        #[test]
        fn what_is_shown_reads_back(millis in 0i64..4_000_000_000_000) {
            let utc = Clock::utc();
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(utc.parse(&utc.show(at)), Ok(at));
        }
    }
}
