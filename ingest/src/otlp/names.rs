//! Names as Prometheus' OTLP receiver translates them by default (`UnderscoreEscapingWithSuffixes`).
//!
//! Source: `github.com/prometheus/otlptranslator`, with the two settings that Prometheus keeps for compatibility: labels
//! that begin with one underscore get `key` in front, and several underscores in a row stay.

/// What decides about the suffixes of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suffixes {
    /// `_total`
    Counter,
    /// `_ratio` if the unit is `1`.
    Gauge,
    /// Of the unit only.
    Other,
}

/// Units that have a longer name in Prometheus' world.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// The same behind "per".
const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

fn renamed<'u>(unit: &'u str, table: &[(&'u str, &'u str)]) -> &'u str {
    table.iter().find(|(known, _)| *known == unit).map_or(unit, |(_, name)| name)
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == ':'
}

/// The name of a metric; `None` if nothing is left of it.
pub(super) fn metric(name: &str, unit: &str, suffixes: Suffixes) -> Option<String> {
    let mut tokens: Vec<&str> =
        name.split(|character| !is_of_name(character)).filter(|token| !token.is_empty()).collect();
    let (main, per) = unit_suffixes(unit);
    if !main.is_empty() && !tokens.contains(&main.as_str()) {
        let main = if per.is_empty() || tokens.contains(&per.as_str()) { &main } else { main.trim_end_matches('_') };
        tokens.push(main);
    }
    if !per.is_empty() && !tokens.contains(&per.as_str()) {
        tokens.push(&per);
    }
    let last = match suffixes {
        Suffixes::Counter => Some("total"),
        Suffixes::Gauge if unit == "1" => Some("ratio"),
        Suffixes::Gauge | Suffixes::Other => None,
    };
    if let Some(last) = last {
        tokens.retain(|token| *token != last);
        tokens.push(last);
    }
    let joined = tokens.join("_");
    let translated =
        if joined.starts_with(|first: char| first.is_ascii_digit()) { format!("_{joined}") } else { joined };
    let says_something = translated == name || translated.contains(|character| character != '_');
    (!translated.is_empty() && says_something).then_some(translated)
}

/// A unit as Prometheus knows it: `bytes_per_second` for `By/s`.
pub(super) fn unit(unit: &str) -> String {
    let (main, per) = unit_suffixes(unit);
    let both = if main.is_empty() || per.is_empty() { main + &per } else { format!("{main}_{per}") };
    both.strip_suffix('_').unwrap_or(&both).to_owned()
}

/// The suffixes of a unit: its own, and `per_…`; empty if there is none.
fn unit_suffixes(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').map_or((unit, ""), |(main, per)| (main, per));
    let plain = |unit: &str| !unit.is_empty() && !unit.contains(['{', '}']);
    let (main, per) = (main.trim(), per.trim());
    let main = if plain(main) { cleaned(renamed(main, &UNITS)) } else { String::new() };
    let per = if plain(per) { renamed(per, &PER_UNITS) } else { "" };
    let per = if per.is_empty() { String::new() } else { cleaned(&format!("per_{per}")) };
    let per = if per == "per_" { String::new() } else { per.strip_suffix('_').unwrap_or(&per).to_owned() };
    (main, per)
}

/// A unit as part of a name: what may not stand there becomes `_`, several of them one, none in front.
fn cleaned(unit: &str) -> String {
    let mut clean = String::with_capacity(unit.len());
    for character in unit.chars() {
        let character = if is_of_name(character) { character } else { '_' };
        if character != '_' || !(clean.is_empty() || clean.ends_with('_')) {
            clean.push(character);
        }
    }
    clean
}

/// The name of a label; `None` if nothing is left of it.
pub(super) fn label(name: &str) -> Option<String> {
    let plain: String =
        name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect();
    if !plain.contains(|character| character != '_') {
        // Prometheus' `key_` alone is a name; only what begins with two underscores is none.
        return (plain == "_").then(|| "key_".to_owned());
    }
    Some(match plain.as_bytes() {
        [first, ..] if first.is_ascii_digit() => format!("key_{plain}"),
        [b'_', b'_', ..] => plain,
        [b'_', ..] => format!("key{plain}"),
        _ => plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_named_as_prometheus_names_them() {
        use Suffixes::{Counter, Gauge, Other};
        for (name, unit, suffixes, wanted) in [
            ("http.server.requests", "{request}", Counter, Some("http_server_requests_total")),
            ("http.server.duration", "ms", Other, Some("http_server_duration_milliseconds")),
            ("http_total_requests", "", Counter, Some("http_requests_total")),
            ("system.memory.utilization", "1", Gauge, Some("system_memory_utilization_ratio")),
            ("ratio.of.ratio", "1", Gauge, Some("of_ratio")),
            ("jobs", "1", Counter, Some("jobs_total")),
            ("disk.io", "By/s", Gauge, Some("disk_io_bytes_per_second")),
            ("disk.bytes", "By/s", Gauge, Some("disk_bytes_per_second")),
            ("rate", "/s", Gauge, Some("rate_per_second")),
            ("rate", "{packet}/min", Gauge, Some("rate_per_min")),
            ("temp", "Cel", Gauge, Some("temp_celsius")),
            ("a", "weird unit__x_", Gauge, Some("a_weird_unit_x_")),
            ("a", "weird_/_y", Gauge, Some("a_weird_per_y")),
            ("a", "%", Gauge, Some("a_percent")),
            ("2xx", "", Other, Some("_2xx")),
            ("__a__b__", "", Other, Some("a_b")),
            ("name:with:colons", "", Other, Some("name:with:colons")),
            ("é", "", Other, None),
            ("", "", Other, None),
            ("", "s", Counter, Some("seconds_total")),
        ] {
            assert_eq!(metric(name, unit, suffixes).as_deref(), wanted, "{name} {unit}");
        }
    }

    #[test]
    fn labels_are_named_as_prometheus_names_them() {
        for (name, wanted) in [
            ("http.method", Some("http_method")),
            ("a..b__c", Some("a__b__c")),
            ("_x", Some("key_x")),
            ("__x", Some("__x")),
            ("__name__", Some("__name__")),
            ("2x", Some("key_2x")),
            ("é1", Some("key_1")),
            ("___", None),
            ("_", Some("key_")),
            ("", None),
        ] {
            assert_eq!(label(name).as_deref(), wanted, "{name}");
        }
    }
}
