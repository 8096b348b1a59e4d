//! Times as they are spoken: `half an hour ago`, `last friday at 3 pm`, `10:00 yesterday`, `Nov 28 10:00`. They are
//! rewritten as what [`Clock`](crate::time::Clock) reads: a span, or a day with a time of day behind it.

use jiff::civil::Date;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const UNITS: [&str; 7] = ["second", "minute", "hour", "day", "week", "month", "year"];
/// Numbers as words, from one on.
const NUMBERS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
/// Longer texts are no times.
const LENGTH_MAX: usize = 100;

/// The same time in the spelling that is read, if this is one that is spoken; `today` tells which year is meant.
pub(crate) fn rewritten(text: &str, today: Date) -> Option<String> {
    if text.len() > LENGTH_MAX {
        return None;
    }
    let plain = text.to_ascii_lowercase();
    let mut words: Vec<String> = Vec::new();
    for word in plain.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
        match word {
            "at" | "on" | "the" | "of" => {}
            // `3 pm`
            "am" | "pm" => words.last_mut()?.push_str(word),
            _ if NUMBERS.contains(&word) => {
                words.push((1 + NUMBERS.iter().position(|number| *number == word)?).to_string());
            }
            _ => words.push(word.to_owned()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    span(&words).or_else(|| day_and_time(&words, today)).filter(|rewritten| *rewritten != plain)
}

fn span(words: &[&str]) -> Option<String> {
    match words {
        ["half", "an", "hour"] | ["half", "an", "hour", "ago"] => Some("30 minutes ago".to_owned()),
        ["a" | "an", unit] | ["a" | "an", unit, "ago"] | ["last" | "past", unit] if is_unit(unit) => {
            Some(format!("1 {unit} ago"))
        }
        [number, unit] | [number, unit, "ago"] | ["last" | "past", number, unit]
            if is_unit(unit) && is_number(number) =>
        {
            Some(format!("{number} {unit} ago"))
        }
        _ => None,
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_unit(word: &str) -> bool {
    UNITS.contains(&word.strip_suffix('s').unwrap_or(word))
}

fn day_and_time(words: &[&str], today: Date) -> Option<String> {
    let words = words.strip_prefix(&["last"]).unwrap_or(words);
    let (time, words) = match words {
        [time, rest @ ..] if !rest.is_empty() && is_time_of_day(time) => (Some(*time), rest),
        _ => (None, words),
    };
    let words = words.strip_prefix(&["last"]).unwrap_or(words);
    let (day, rest) = day(words, today)?;
    let all: Vec<&str> = [day.as_str()].into_iter().chain(time).chain(rest.iter().copied()).collect();
    Some(all.join(" "))
}

fn is_time_of_day(word: &str) -> bool {
    let has_digit = word.starts_with(|c: char| c.is_ascii_digit());
    matches!(word, "noon" | "midnight") || has_digit && (word.contains(':') || word.ends_with(['m', 'M']))
}

/// The day that the words begin with, and the words behind it.
fn day<'w>(words: &'w [&'w str], today: Date) -> Option<(String, &'w [&'w str])> {
    let (of_month, rest) = match words {
        [first, second, rest @ ..] => match (day_number(first), month(second), month(first), day_number(second)) {
            (Some(day), Some(month), ..) | (.., Some(month), Some(day)) => (Some((day, month)), rest),
            _ => (None, words),
        },
        _ => (None, words),
    };
    if let Some((day, month)) = of_month {
        return match rest {
            [year, rest @ ..] if year.len() == 4 && year.parse::<i16>().is_ok() => {
                Some((date(year.parse().ok()?, month, day)?.to_string(), rest))
            }
            _ => {
                // The last such day.
                let this_year = date(today.year(), month, day).filter(|date| *date <= today);
                Some((this_year.or_else(|| date(today.year() - 1, month, day))?.to_string(), rest))
            }
        };
    }
    let (first, rest) = words.split_first()?;
    let mut parts = first.split('.');
    let dotted = (parts.next(), parts.next(), parts.next(), parts.next());
    match dotted {
        (Some(day), Some(month), Some(year), None) if year.len() == 4 => {
            Some((date(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?.to_string(), rest))
        }
        _ => Some(((*first).to_owned(), rest)),
    }
}

fn date(year: i16, month: i8, day: i8) -> Option<Date> {
    Date::new(year, month, day).ok()
}

/// `28`, `28th`.
fn day_number(word: &str) -> Option<i8> {
    let ending = word.trim_start_matches(|c: char| c.is_ascii_digit());
    if !matches!(ending, "" | "st" | "nd" | "rd" | "th") {
        return None;
    }
    word.strip_suffix(ending)?.parse().ok()
}

/// `nov`, `nov.`, `november`.
fn month(word: &str) -> Option<i8> {
    let short = word.trim_end_matches('.');
    let at = MONTHS.iter().position(|month| *month == word || short.len() >= 3 && month.get(..3) == Some(short))?;
    i8::try_from(at + 1).ok()
}
