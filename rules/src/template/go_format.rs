//! Numbers as Go prints them: `%v`, `%.4g`, and the verbs of `printf`.

use super::expand::Out;

/// Decimal exponent from which the shortest form is written with one.
const SHORTEST_LIMIT: i32 = 6;
/// Widest field and longest fraction that a format may ask for.
const WIDTH_MAX: usize = 200;

/// Go's `%v`: the shortest digits that read back as the same number, `1.5e+06` from seven digits on.
pub(crate) fn shortest(value: f64) -> String {
    special(value).unwrap_or_else(|| {
        let (negative, digits, exponent) = decimal(&format!("{value:e}"));
        general(negative, &digits, exponent, SHORTEST_LIMIT)
    })
}

/// Go's `%.{precision}g`: that many significant digits, no zeros at the end.
pub(super) fn significant(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| {
        let precision = precision.max(1);
        let (negative, digits, exponent) = decimal(&format!("{value:.*e}", precision - 1));
        let digits = digits.trim_end_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits };
        general(negative, digits, exponent, i32::try_from(precision).unwrap_or(i32::MAX))
    })
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        Some("NaN".to_owned())
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
    } else {
        None
    }
}

/// Sign, digits without the point, and the exponent of the first digit, of Rust's `-1.25e3`.
fn decimal(scientific: &str) -> (bool, String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let negative = mantissa.starts_with('-');
    let digits = mantissa.chars().filter(char::is_ascii_digit).collect();
    (negative, digits, exponent.parse().unwrap_or(0))
}

/// `%g`: with an exponent when that is below -4 or at least `limit`.
/// Source: Go's strconv.FormatFloat, format 'g'.
fn general(negative: bool, digits: &str, exponent: i32, limit: i32) -> String {
    let mut out = String::with_capacity(digits.len() + 8);
    if negative {
        out.push('-');
    }
    if exponent < -4 || exponent >= limit {
        out.push_str(&digits[..1]);
        if digits.len() > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        push_exponent(&mut out, exponent);
        return out;
    }
    match usize::try_from(exponent) {
        Ok(exponent) => {
            let whole = exponent + 1;
            if digits.len() <= whole {
                out.push_str(digits);
                out.extend(std::iter::repeat_n('0', whole - digits.len()));
            } else {
                out.push_str(&digits[..whole]);
                out.push('.');
                out.push_str(&digits[whole..]);
            }
        }
        Err(_) => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', exponent.unsigned_abs() as usize - 1));
            out.push_str(digits);
        }
    }
    out
}

/// `e+06`: a sign and at least two digits.
fn push_exponent(out: &mut String, exponent: i32) {
    out.push('e');
    out.push(if exponent < 0 { '-' } else { '+' });
    out.push_str(&format!("{:02}", exponent.unsigned_abs()));
}

/// Go's `Sprintf`, with its `%!d(float64=1)` for a verb that does not fit the value.
pub(super) fn printf(format: &str, arguments: &[Out<'_>]) -> Result<String, String> {
    let mut out = String::new();
    let mut next = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut field = Field::default();
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '+' | ' ' | '0' | '#')) {
            match flag {
                '-' => field.left = true,
                '+' => field.plus = true,
                ' ' => field.blank = true,
                '0' => field.zeros = true,
                _ => {}
            }
        }
        field.width = number(&mut chars)?.unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            field.precision = Some(number(&mut chars)?.unwrap_or(0));
        }
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match next.next() {
            Some(argument) => out.push_str(&field.format(verb, argument)),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
    }
    let extra: Vec<String> = next.map(|left| format!("{}={}", left.go_type(), left.print())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

/// A width or precision, `None` if there are no digits.
fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, String> {
    let mut number = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit).and_then(|c| c.to_digit(10)) {
        let next = number.unwrap_or(0) * 10 + digit as usize;
        if next > WIDTH_MAX {
            return Err(format!("a width or precision above {WIDTH_MAX} in printf"));
        }
        number = Some(next);
    }
    Ok(number)
}

/// What stands between `%` and the verb.
#[derive(Default)]
struct Field {
    left: bool,
    plus: bool,
    blank: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
}

impl Field {
    fn format(&self, verb: char, argument: &Out<'_>) -> String {
        let mut text = match (verb, argument) {
            ('v' | 'g' | 'G', Out::Float(value)) => match self.precision {
                Some(precision) => significant(*value, precision),
                None => shortest(*value),
            },
            ('f' | 'F', Out::Float(value)) => {
                special(*value).unwrap_or_else(|| format!("{value:.*}", self.precision.unwrap_or(6)))
            }
            ('e' | 'E', Out::Float(value)) => special(*value).unwrap_or_else(|| {
                let text = format!("{value:.*e}", self.precision.unwrap_or(6));
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let mut out = mantissa.to_owned();
                push_exponent(&mut out, exponent.parse().unwrap_or(0));
                out
            }),
            ('d', Out::Int(value)) => value.to_string(),
            ('x', Out::Int(value)) => format!("{value:x}"),
            ('t', Out::Bool(value)) => value.to_string(),
            ('s' | 'v', Out::Text(text)) => match self.precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text.to_string(),
            },
            ('q', Out::Text(text)) => format!("{text:?}"),
            ('v', Out::Int(_) | Out::Bool(_) | Out::Labels(_)) => argument.print(),
            _ => return format!("%!{verb}({}={})", argument.go_type(), argument.print()),
        };
        if matches!(verb, 'E' | 'G') {
            text.make_ascii_uppercase();
        }
        let is_number = matches!(argument, Out::Float(_) | Out::Int(_));
        if is_number && !text.starts_with(['-', '+']) {
            if self.plus {
                text.insert(0, '+');
            } else if self.blank {
                text.insert(0, ' ');
            }
        }
        self.pad(text, is_number)
    }

    fn pad(&self, text: String, is_number: bool) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        if missing == 0 {
            return text;
        }
        if self.left {
            return text + &" ".repeat(missing);
        }
        if self.zeros && is_number && text.ends_with(|c: char| c.is_ascii_digit()) {
            let sign = usize::from(text.starts_with(['-', '+', ' ']));
            return format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..]);
        }
        " ".repeat(missing) + &text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected texts are Go's, from `fmt.Sprintf`.
    #[test]
    fn numbers_print_as_in_go() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (12.1, "12.1"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (100_000.0, "100000"),
            (123_456.789, "123456.789"),
            (1_000_000.0, "1e+06"),
            (1_500_000.0, "1.5e+06"),
            (1_234_567.0, "1.234567e+06"),
            (-2.5e-10, "-2.5e-10"),
            (1e100, "1e+100"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(shortest(value), expected);
        }
        for (value, expected) in
            [(1234.5678, "1235"), (0.000_123_46, "0.0001235"), (12345.0, "1.234e+04"), (10.0, "10"), (0.5, "0.5")]
        {
            assert_eq!(significant(value, 4), expected);
        }
    }

    #[test]
    fn verbs_print_as_in_go() {
        let value = [Out::Float(2.71875)];
        for (format, expected) in [
            ("%.2f", "2.72"),
            ("%8.2f|", "    2.72|"),
            ("%-8.2f|", "2.72    |"),
            ("%08.2f", "00002.72"),
            ("%+.1f", "+2.7"),
            ("%e", "2.718750e+00"),
            ("%.3g", "2.72"),
            ("%v", "2.71875"),
            ("%d", "%!d(float64=2.71875)"),
            ("%s", "%!s(float64=2.71875)"),
            ("100%% %.0f", "100% 3"),
            ("%f %f", "2.718750 %!f(MISSING)"),
            ("none", "none%!(EXTRA float64=2.71875)"),
            ("%", "%!(NOVERB)%!(EXTRA float64=2.71875)"),
        ] {
            assert_eq!(printf(format, &value).as_deref(), Ok(expected), "{format}");
        }
        let mixed = [Out::Text("a\"b".into()), Out::Int(42), Out::Bool(true)];
        assert_eq!(printf("%q %5d %t", &mixed).as_deref(), Ok("\"a\\\"b\"    42 true"));
        assert!(printf("%999999999d", &mixed).is_err());
    }
}
