//! Numbers for people: few digits, a unit that fits.

/// A number in at most about seven characters: `12.5`, `1.31k`, `4.2M`, `0.00042`, `NaN`.
pub fn short(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let magnitude = value.abs();
    for (unit, name) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        // 999.95k is said as 1M.
        if magnitude >= unit * 0.99995 && magnitude < unit * 1e6 {
            return format!("{}{name}", digits(value / unit, 4));
        }
    }
    if magnitude >= 1e15 || (magnitude > 0.0 && magnitude < 1e-4) {
        return format!("{value:.2e}");
    }
    digits(value, 4)
}

/// Bytes: `512 B`, `1.5 MiB`.
pub fn bytes(value: f64) -> String {
    for (unit, name) in [(f64::from(1 << 30) * 1024.0, "TiB"), (f64::from(1 << 30), "GiB"), (f64::from(1 << 20), "MiB")]
    {
        if value >= unit {
            return format!("{} {name}", digits(value / unit, 3));
        }
    }
    if value >= 1024.0 { format!("{} KiB", digits(value / 1024.0, 3)) } else { format!("{value:.0} B") }
}

/// A share of 1 in per cent.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", share * 100.0) } else { "-".to_owned() }
}

/// A number with so many significant digits, without zeros at its end.
fn digits(value: f64, significant: i32) -> String {
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = usize::try_from(significant - 1 - magnitude).unwrap_or(0).min(12);
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_digits() {
        for (value, shown) in [
            (0.0, "0"),
            (12.5, "12.5"),
            (-3.0, "-3"),
            (1312.0, "1.312k"),
            (999.99, "1k"),
            (4_200_000.0, "4.2M"),
            (0.000_42, "0.00042"),
            (0.000_001, "1.00e-6"),
            (1e20, "1.00e20"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(short(value), shown);
        }
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(bytes(3.0 * 1024.0 * 1024.0 * 1024.0), "3 GiB");
        assert_eq!(percent(0.1234), "12.3 %");
    }
}
