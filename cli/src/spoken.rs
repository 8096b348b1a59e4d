//! Times as they are spoken: `half an hour ago`, `last friday at 3 pm`, `10:00 tomorrow`, `in two days`, `Nov 28 10:00`.
//! They are rewritten as what [`Clock`](crate::time::Clock) reads: a span, or a day with a time of day behind it.

use jiff::civil::Date;
use watchfire_model::time::parse_duration_ms;

use crate::time::weekday;

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
const UNITS: [&str; 9] = ["second", "sec", "minute", "min", "hour", "day", "week", "month", "year"];
/// Numbers as words, from one on.
const NUMBERS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
/// Longer texts are no times.
const LENGTH_MAX: usize = 100;

/// The same time in spellings one of which is read if this is a time that is spoken; `today` tells which year is meant.
pub(crate) fn spellings(text: &str, today: Date) -> Vec<String> {
    if text.len() > LENGTH_MAX {
        return Vec::new();
    }
    let plain = text.to_ascii_lowercase();
    let mut words: Vec<String> = Vec::new();
    let mut before = "";
    for word in plain.split_whitespace().flat_map(at_commas).filter(|word| !word.is_empty()) {
        let is_hour = std::mem::replace(&mut before, word) == "at";
        match word {
            "at" | "on" | "the" | "of" => {}
            // `3 pm`
            "am" | "pm" => match words.last_mut() {
                Some(before) => before.push_str(word),
                None => return Vec::new(),
            },
            _ => {
                let number = NUMBERS.iter().position(|number| *number == word);
                let word = number.map_or_else(|| word.to_owned(), |at| (at + 1).to_string());
                // `at 9`
                words.push(if is_hour && word.parse::<u8>().is_ok() { word + ":00" } else { word });
            }
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Without a day, only the small words were too many.
    [span(&words), day_and_time(&words, today), Some(words.join(" "))].into_iter().flatten().collect()
}

/// The parts of a word that commas divide. One within a time of day stands before the fraction of a second.
fn at_commas(word: &str) -> Vec<&str> {
    if word.contains(':') { vec![word.trim_end_matches(',')] } else { word.split(',').collect() }
}

/// `two days ago`, `half an hour`, `last week`; `in two days`, `two days from now`, `next week`.
fn span(words: &[&str]) -> Option<String> {
    match words {
        ["last" | "past", unit] if is_unit(unit) => Some(format!("1 {unit} ago")),
        ["next", unit] if is_unit(unit) => Some(format!("in 1 {unit}")),
        ["in" | "next", length @ ..] | [length @ .., "from", "now"] => Some(format!("in {}", length_of_time(length)?)),
        ["last" | "past", length @ ..] | [length @ .., "ago"] | length => {
            Some(format!("{} ago", length_of_time(length)?))
        }
    }
}

/// `two days`, `a week`, `half an hour`, `90m`.
fn length_of_time(words: &[&str]) -> Option<String> {
    match words {
        ["half", "an", "hour"] => Some("30 minutes".to_owned()),
        ["a" | "an", unit] if is_unit(unit) => Some(format!("1 {unit}")),
        [number, unit] if is_unit(unit) && is_number(number) => Some(format!("{number} {unit}")),
        [short] if parse_duration_ms(short).is_some() => Some((*short).to_owned()),
        _ => None,
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_unit(word: &str) -> bool {
    UNITS.contains(&word.strip_suffix('s').unwrap_or(word))
}

/// Which of days that come again and again is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// The last one; nothing was said.
    Unsaid,
    Last,
    Next,
}

fn day_and_time(words: &[&str], today: Date) -> Option<String> {
    let (time, words) = match words {
        [time, rest @ ..] if !rest.is_empty() && is_time_of_day(time) => (Some(*time), rest),
        _ => (None, words),
    };
    let (which, words) = match words {
        ["last", rest @ ..] => (Which::Last, rest),
        ["next", rest @ ..] => (Which::Next, rest),
        _ => (Which::Unsaid, words),
    };
    let (day, rest) = day(words, which, today)?;
    let all: Vec<&str> = [day.as_str()].into_iter().chain(time).chain(rest.iter().copied()).collect();
    Some(all.join(" "))
}

fn is_time_of_day(word: &str) -> bool {
    let has_digit = word.starts_with(|c: char| c.is_ascii_digit());
    matches!(word, "noon" | "midnight") || has_digit && (word.contains(':') || word.ends_with(['m', 'M']))
}

/// The day that the words begin with, and the words behind it.
fn day<'w>(words: &'w [&'w str], which: Which, today: Date) -> Option<(String, &'w [&'w str])> {
    if let Some((month, day, rest)) = day_of_month(words) {
        let in_year = |year| date(year, month, day);
        let date = match (rest, which) {
            ([year, rest @ ..], Which::Unsaid) if year.len() == 4 && year.parse::<i16>().is_ok() => {
                return Some((in_year(year.parse().ok()?)?.to_string(), rest));
            }
            (_, Which::Next) => {
                in_year(today.year()).filter(|date| *date > today).or_else(|| in_year(today.year() + 1))
            }
            _ => in_year(today.year()).filter(|date| *date <= today).or_else(|| in_year(today.year() - 1)),
        };
        return Some((date?.to_string(), rest));
    }
    match words {
        ["day", "after", "tomorrow", rest @ ..] => {
            return Some((today.tomorrow().ok()?.tomorrow().ok()?.to_string(), rest));
        }
        ["day", "before", "yesterday", rest @ ..] => {
            return Some((today.yesterday().ok()?.yesterday().ok()?.to_string(), rest));
        }
        _ => {}
    }
    let (first, rest) = words.split_first()?;
    match (weekday(first), which) {
        (Some(weekday), Which::Next) => return Some((today.nth_weekday(1, weekday).ok()?.to_string(), rest)),
        (None, Which::Last | Which::Next) => return None,
        // Bare, it is the last one.
        _ => {}
    }
    let mut parts = first.split('.');
    let dotted = (parts.next(), parts.next(), parts.next(), parts.next());
    match dotted {
        (Some(day), Some(month), Some(year), None) if year.len() == 4 => {
            Some((date(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?.to_string(), rest))
        }
        _ => Some(((*first).to_owned(), rest)),
    }
}

/// `Nov 28`, `28 Nov`: month, day, and the words behind them.
fn day_of_month<'w>(words: &'w [&'w str]) -> Option<(i8, i8, &'w [&'w str])> {
    let [first, second, rest @ ..] = words else { return None };
    match (day_number(first), month(second), month(first), day_number(second)) {
        (Some(day), Some(month), ..) | (.., Some(month), Some(day)) => Some((month, day, rest)),
        _ => None,
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
