//! Bounds of buckets and quantiles in labels: whichever way a target writes them, `le="1"` and `le="1.0"` are one series.

use watchfire_engine::FamilyType;

use crate::labels::Labels;
use crate::parse_number;

/// Writes the bound of a bucket of a histogram, and the quantile of a summary, as OpenMetrics does; Prometheus has done so
/// since 3.0. What is no number stays as it is.
pub(crate) fn normalise(kind: FamilyType, labels: &mut Labels<'_>) {
    let label = match kind {
        FamilyType::Histogram => "le",
        FamilyType::Summary => "quantile",
        FamilyType::Counter
        | FamilyType::Gauge
        | FamilyType::GaugeHistogram
        | FamilyType::Info
        | FamilyType::StateSet
        | FamilyType::Unknown => return,
    };
    let written = labels.get(label);
    if let Some(value) = parse_number(written.as_bytes()) {
        let text = bound_text(value);
        if text != written {
            labels.set(label.into(), text.into());
        }
    }
}

/// A number as OpenMetrics has it in labels: `1.0`, `0.25`, `1e+06`.
pub(crate) fn bound_text(value: f64) -> String {
    match value {
        value if value.is_nan() => return "NaN".to_owned(),
        f64::INFINITY => return "+Inf".to_owned(),
        f64::NEG_INFINITY => return "-Inf".to_owned(),
        // Zero has no sign.
        0.0 => return "0.0".to_owned(),
        _ => {}
    }
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..6 => {
            let plain = value.to_string();
            if plain.contains('.') { plain } else { format!("{plain}.0") }
        }
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bound_text;

    #[test]
    fn bounds_are_those_of_open_metrics() {
        for (bound, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (0.25, "0.25"),
            (100.0, "100.0"),
            (123456.0, "123456.0"),
            (1e6, "1e+06"),
            (1234567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(bound_text(bound), text);
        }
    }
}
