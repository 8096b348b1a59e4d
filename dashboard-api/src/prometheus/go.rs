//! Numbers and durations as the libraries of Go read them, which Prometheus reads its parameters with.

use std::borrow::Cow;
use std::num::IntErrorKind;

use watchfire_model::Timestamp;

use super::moment::Moment;
use crate::params::shown;

/// A number as `strconv.ParseFloat` reads it: decimal or hexadecimal with a binary exponent, `_` between digits, infinity and
/// NaN as words. One whose digits are too many for a `f64` is none.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = without_underscores(text)?;
    let (sign, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let is_word = !unsigned.contains(|character: char| character.is_ascii_digit());
    let value = match unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        Some(digits) => hexadecimal(digits)?,
        None if unsigned.starts_with(['+', '-']) => return None,
        None => unsigned.parse::<f64>().ok()?,
    };
    let is_number = if is_word { !value.is_nan() || unsigned.len() == digits.len() } else { value.is_finite() };
    is_number.then_some(sign * value)
}

/// A whole number as `strconv.ParseInt` reads it. Errors: what is wrong with it, in its words.
pub(super) fn whole_number(text: &str) -> Result<i64, String> {
    text.parse::<i64>().map_err(|error| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("parsing {:?}: {why}", shown(text))
    })
}

/// A boolean as `strconv.ParseBool` reads it. Errors: what is wrong with it, in its words.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!("strconv.ParseBool: parsing {:?}: invalid syntax", shown(other))),
    }
}

/// `None` where one is not between two digits, or a digit and the base.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_hexadecimal = unsigned.get(..2).is_some_and(|base| base.eq_ignore_ascii_case("0x"));
    let is_digit = |byte: u8| if is_hexadecimal { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let bytes = unsigned.as_bytes();
    let stands_well = |at: usize| {
        let follows =
            at.checked_sub(1).is_some_and(|before| is_digit(bytes[before]) || (is_hexadecimal && before == 1));
        follows && bytes.get(at + 1).is_some_and(|byte| is_digit(*byte))
    };
    let all_stand_well = (0..bytes.len()).filter(|at| bytes[*at] == b'_').all(stands_well);
    all_stand_well.then(|| Cow::Owned(text.replace('_', "")))
}

/// What stands behind `0x`: digits, perhaps with a dot, and the power of two that they are multiplied by.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, power) = text.split_once(['p', 'P'])?;
    // Longer ones come to nothing, or to infinity, alike.
    let is_whole = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_whole(power.strip_prefix(['+', '-']).unwrap_or(power)) {
        return None;
    }
    let beyond = if power.starts_with('-') { i32::MIN / 2 } else { i32::MAX / 2 };
    let power: i32 = power.parse().map_or(beyond, |power: i32| power.clamp(-100_000, 100_000));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if digits.len() == digits.matches('.').count() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let places = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let value = if value == 0.0 { value } else { value * 2_f64.powi(power.saturating_sub(places)) };
    value.is_finite().then_some(value)
}

/// Days of 400 years, after which the calendar repeats itself.
const DAYS_OF_400_YEARS: i64 = 146_097;

/// A time of RFC 3339 as `time.Parse` reads it: an hour of one digit, a comma before the fraction and zones of up to 24 hours
/// and 60 minutes pass, a time without a zone does not.
pub(super) fn time(text: &str) -> Option<Moment> {
    let (date, mut rest) = text.split_at_checked(10)?;
    // The year 0 is there.
    let midnight_ms = match date.strip_prefix("0000-") {
        None => Timestamp::parse_date_time(date)?.millis(),
        Some(day) => {
            let later = Timestamp::parse_date_time(&format!("0400-{day}"))?;
            later.millis() - DAYS_OF_400_YEARS * 86_400_000
        }
    };
    if date.contains('/') {
        return None;
    }
    let hour = digits(&mut rest, 'T', 1)?;
    let minute = digits(&mut rest, ':', 2)?;
    let second = digits(&mut rest, ':', 2)?;
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, zone) = fraction.split_at(length);
        let billionths = format!("{fraction:0<9}");
        nanos = billionths.get(..9).filter(|_| length > 0)?.parse().ok()?;
        rest = zone;
    }
    let zone_minutes = match rest.chars().next()? {
        'Z' if rest.len() == 1 => 0,
        sign @ ('+' | '-') => {
            let hours = digits(&mut rest, sign, 2)?;
            let minutes = digits(&mut rest, ':', 2)?;
            if hours > 24 || minutes > 60 || !rest.is_empty() {
                return None;
            }
            (hours * 60 + minutes) * if sign == '-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let is_of_a_day = hour < 24 && minute < 60 && second < 60;
    let in_day = (hour * 60 + minute - zone_minutes) * 60 + second;
    is_of_a_day.then(|| Moment::new(midnight_ms / 1000 + in_day, nanos))
}

/// Takes a character off a text, and the number of one or two digits behind it.
fn digits(rest: &mut &str, before: char, least: usize) -> Option<i64> {
    let behind = rest.strip_prefix(before)?;
    let length = behind.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let (number, behind) = behind.split_at(length);
    *rest = behind;
    (length >= least).then(|| number.parse().ok())?
}

/// Units of durations in nanoseconds, in the order in which they may stand.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000_000_000),
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// A duration in nanoseconds as `model.ParseDuration` reads it: whole numbers, each with its unit, from the largest to the
/// smallest, without blanks.
pub(super) fn duration_ns(text: &str) -> Option<i64> {
    let (mut rest, mut units, mut total) = (text, UNITS.iter(), 0_u64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let is_digit = |character: char| character.is_ascii_digit();
        let (count, behind) = rest.split_at(rest.find(|character| !is_digit(character))?);
        let (unit, behind) = behind.split_at(behind.find(is_digit).unwrap_or(behind.len()));
        let (_, nanos) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(count.parse::<u64>().ok()?.checked_mul(*nanos)?)?;
        rest = behind;
    }
    i64::try_from(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, value) in [
            ("1_0", 10.0),
            ("-1_0.0_1e1_0", -10.01e10),
            ("0x1p4", 16.0),
            ("0X_1.8P-1", 0.75),
            ("-0xf_f.p+0", -255.0),
            ("0x.8p1", 1.0),
            ("0x0p99999999999", 0.0),
            ("0x1p-99999999999", 0.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("+Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        assert!(number("nAn").is_some_and(f64::is_nan));
        for text in [
            "",
            "_1",
            "1_",
            "1__0",
            "1_.5",
            "1._5",
            "1_e5",
            "1e_5",
            "0x10",
            "0x",
            "0x1p",
            "0x.p1",
            "0x1p_1",
            "0x1.8.8p1",
            "0xgp1",
            "0x1p1p1",
            "0x1p1.5",
            "0x1p9999",
            "1e400",
            "+nan",
            "-NaN",
            "--1",
            "+-1",
            "-+0x1p1",
            " 1",
            "1 ",
            "in_f",
            "0b1",
            "٥",
            ".",
            "_",
            "0_x1p1",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T1:02:03.0049+01:00", Some(123_004)),
            ("1970-01-02T00:00:00,5-24:60", Some(176_400_500)),
            ("0000-02-29T12:00:00Z", Some(-62_162_078_400_000)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800_000)),
            ("9999-12-31T23:59:59.999999999999Z", Some(253_402_300_799_999)),
            ("0001-02-29T12:00:00Z", None),
            ("1970-01-01T00:00:00", None),
            ("1970-01-01T00:00:00.Z", None),
            ("1970-01-01T00:00:00+0100", None),
            ("1970-01-01T00:00:00+01", None),
            ("1970-01-01T00:00:00+25:00", None),
            ("1970-01-01T00:00:00Zx", None),
            ("1970-01-01T00:00:00é", None),
            ("1970-01-01T000:00:00Z", None),
            ("1970-01-01t00:00:00Z", None),
            ("1970-01-01T00:00:00z", None),
            ("1970-01-01 00:00:00Z", None),
            ("1970/01/01T00:00:00Z", None),
            ("1970-01-01T24:00:00Z", None),
            ("1970-01-01T00:00:60Z", None),
            ("1970-01-01", None),
            ("1970-01-é1T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(time(text).map(|time| time.millis().millis()), millis, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, nanos) in [
            ("1h30m", Some(5_400_000_000_000)),
            ("1y2w3d4h5m6s7ms", Some(33_019_506_007_000_000)),
            ("0h", Some(0)),
            ("106751d", Some(9_223_286_400_000_000_000)),
            ("106752d", None),
            ("18446744073709551616ms", None),
            ("1h1d", None),
            ("1h1h", None),
            ("1.5h", None),
            ("1h 1m", None),
            (" 1h", None),
            ("-1h", None),
            ("1H", None),
            ("h", None),
            ("5", None),
            ("", None),
            ("٥m", None),
        ] {
            assert_eq!(duration_ns(text), nanos, "{text}");
        }
    }
}
