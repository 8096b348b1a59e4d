//! Numbers as Go writes them: what Prometheus says it says so.

use std::io::Write;

/// Writes a number as answers in JSON have it: with all its digits, very small and very large ones with an exponent.
pub(crate) fn number(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    let has_exponent = !value.is_finite() || (magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude));
    if has_exponent {
        out.extend_from_slice(exponential(value).as_bytes());
    } else {
        decimal(out, value);
    }
}

/// Writes a number as scalars in answers have it: with all its digits and never an exponent.
pub(crate) fn decimal(out: &mut Vec<u8>, value: f64) {
    // Writing to memory cannot fail.
    let _ = if !value.is_finite() {
        out.write_all(exponential(value).as_bytes())
    } else if PLAIN.contains(&value.abs()) {
        plain(out, value)
    } else {
        write!(out, "{value}")
    };
}

/// Numbers of this magnitude are written in JSON without an exponent.
const PLAIN: std::ops::Range<f64> = 1e-3..1e16;

/// Writes a number as in JSON, several times as quickly as formatting does it. Of two texts that are as short and as near it
/// is the even one, as with Prometheus. Whole numbers have no `.0` here.
fn plain(out: &mut Vec<u8>, value: f64) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, &value)?;
    if out.ends_with(b".0") {
        out.truncate(out.len() - 2);
    }
    Ok(())
}

/// A number as expositions have it (Go's shortest `%g`): six digits in front of the dot and three noughts behind it at most,
/// else with an exponent. Nought has no sign there.
pub(crate) fn general(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        magnitude if (1e-4..1e6).contains(&magnitude) => {
            let mut out = Vec::new();
            number(&mut out, value);
            String::from_utf8(out).unwrap_or_default()
        }
        _ => exponential(value),
    }
}

/// A number with an exponent of at least two digits: `1.5e+00`, `NaN`, `+Inf`.
pub(crate) fn exponential(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let digits = |text: &str| text.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    // To as many digits as the shortest text has, it is rounded to the even one of two that are as near it.
    let text = format!("{:.*e}", digits(&format!("{value:e}")) - 1, value);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn scalars_have_no_exponent() {
        for (value, text) in [
            (-0.0, "-0"),
            (1.5, "1.5"),
            (1e21, "1000000000000000000000"),
            (-1.25e23, "-125000000000000000000000"),
            (1e-7, "0.0000001"),
            (2.5e-10, "0.00000000025"),
            (524_288.0 + 1.0 / 2048.0, "524288.0004882812"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(|out| decimal(out, value)), text);
        }
        assert_eq!(written(|out| decimal(out, f64::MAX)).len(), 309);
        assert_eq!(written(|out| decimal(out, f64::from_bits(1))).len(), "0.".len() + 324);
    }

    #[test]
    fn numbers_as_prometheus_writes_them_in_json() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-2.5e-7, "-2.5e-07"),
            (0.000001, "0.000001"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::MAX, "1.7976931348623157e+308"),
            // Halfway between two texts.
            (567_486_460_557_519.0 + 0.25, "567486460557519.2"),
            (524_288.0 + 1.0 / 2048.0, "524288.0004882812"),
            (524_289.0 + 3.0 / 2048.0, "524289.0014648438"),
        ] {
            assert_eq!(written(|out| number(out, value)), text);
        }
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let scale = 10_f64.powi((state >> 58) as i32 % 20 - 4);
            for value in [state as f64 / 1e19 * scale, ((state >> 33) as f64 * scale).trunc(), -((state >> 44) as f64)]
            {
                if value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
                    let (text, formatted) = (written(|out| number(out, value)), value.to_string());
                    assert_eq!((text.parse(), text.len()), (Ok(value), formatted.len()), "{text} for {formatted}");
                }
            }
        }
        // Both are as near it; the even one counts.
        assert_eq!(written(|out| number(out, -8_946_775_649_473_141.0 / 4.0)), "-2236693912368285.2");
    }

    #[test]
    fn numbers_as_expositions_have_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (524_288.0 + 1.0 / 2048.0, "524288.0004882812"),
            (123_456.0, "123456"),
            (123_456.789, "123456.789"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (-1_234_567.0, "-1.234567e+06"),
            (1_700_000_000.0, "1.7e+09"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (-8_946_775_649_473_141.0 / 4.0, "-2.2366939123682852e+15"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        ] {
            assert_eq!(general(value), text);
        }
    }
}
