//! Numbers of records and of queries, compared exactly: an `i64` loses nothing to an `f64`.

use std::cmp::Ordering;
use std::ops::Bound;

use watchfire_model::record::ValueRef;

/// Longest text that is read as a number, bytes.
const NUMBER_TEXT_MAX: usize = 64;

/// A number. [`Number::float`] and [`Number::from_text`] give `Int` wherever the value is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// Anything else.
    Float(f64),
}

impl Number {
    /// A float, as an integer if it is one.
    pub fn float(value: f64) -> Number {
        let inside = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
        if inside && value.fract() == 0.0 { Number::Int(value as i64) } else { Number::Float(value) }
    }

    /// The number that a text spells as a whole: an optional sign, decimal digits with or without a point, an
    /// optional exponent; blanks around it do not matter. `None` for all else, `inf` and `0x10` too.
    pub fn from_text(text: &str) -> Option<Number> {
        let text = text.trim();
        let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
        if text.is_empty() || text.len() > NUMBER_TEXT_MAX || !text.bytes().all(plain) {
            return None;
        }
        if let Ok(int) = text.parse() {
            return Some(Number::Int(int));
        }
        text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Number::float)
    }

    /// The number that a value is: a number, or a text that spells one.
    pub fn of_value(value: ValueRef<'_>) -> Option<Number> {
        match value {
            ValueRef::Int(int) => Some(Number::Int(int)),
            ValueRef::Float(float) => Some(Number::Float(float)),
            ValueRef::Text(text) => Number::from_text(text),
            ValueRef::Null | ValueRef::Bool(_) | ValueRef::Array(_) | ValueRef::Object(_) => None,
        }
    }

    /// How this compares with another number, exactly; `None` if either is not a number (NaN).
    pub fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
            (Number::Int(a), Number::Float(b)) => compare_mixed(a, b),
            (Number::Float(a), Number::Int(b)) => compare_mixed(b, a).map(Ordering::reverse),
        }
    }

    /// The nearest `f64`.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(int) => int as f64,
            Number::Float(float) => float,
        }
    }
}

fn compare_mixed(int: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        None
    } else if float >= 9_223_372_036_854_775_808.0 {
        Some(Ordering::Less)
    } else if float < -9_223_372_036_854_775_808.0 {
        Some(Ordering::Greater)
    } else {
        let whole = float.trunc();
        Some(int.cmp(&(whole as i64)).then(whole.partial_cmp(&float)?))
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Int(int) => write!(f, "{int}"),
            // Shortest text that reads back; with an exponent where plain digits would be long.
            Number::Float(float) => {
                let magnitude = float.abs();
                if magnitude != 0.0 && !(1e-7..1e21).contains(&magnitude) {
                    write!(f, "{float:e}")
                } else {
                    write!(f, "{float}")
                }
            }
        }
    }
}

/// Numbers between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberRange {
    /// Where it begins.
    pub low: Bound<Number>,
    /// Where it ends.
    pub high: Bound<Number>,
}

impl NumberRange {
    /// Whether a number lies inside; NaN never does.
    pub fn contains(&self, number: Number) -> bool {
        let above = match self.low {
            Bound::Included(low) => matches!(number.compare(low), Some(Ordering::Greater | Ordering::Equal)),
            Bound::Excluded(low) => number.compare(low) == Some(Ordering::Greater),
            Bound::Unbounded => !number.as_f64().is_nan(),
        };
        above
            && match self.high {
                Bound::Included(high) => matches!(number.compare(high), Some(Ordering::Less | Ordering::Equal)),
                Bound::Excluded(high) => number.compare(high) == Some(Ordering::Less),
                Bound::Unbounded => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_that_are_numbers() {
        for (text, number) in [
            ("5000", Number::Int(5000)),
            (" -7 ", Number::Int(-7)),
            ("5.0", Number::Int(5)),
            ("-0.0", Number::Int(0)),
            ("1e3", Number::Int(1000)),
            ("12.5", Number::Float(12.5)),
            (".5", Number::Float(0.5)),
            ("9223372036854775807", Number::Int(i64::MAX)),
            ("9223372036854775808", Number::Float(9_223_372_036_854_775_808.0)),
        ] {
            assert_eq!(Number::from_text(text), Some(number), "{text}");
        }
        for text in ["", " ", "inf", "NaN", "0x10", "5s", "1_000", "1e999", "--5", "e", ".", "1 2"] {
            assert_eq!(Number::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn integers_beyond_the_floats_compare_exactly() {
        let big = 9_007_199_254_740_993; // 2^53 + 1 is no float.
        assert_eq!(Number::Int(big).compare(Number::Float(9_007_199_254_740_992.0)), Some(Ordering::Greater));
        assert_eq!(Number::Int(i64::MAX).compare(Number::Float(9.3e18)), Some(Ordering::Less));
        assert_eq!(Number::Int(i64::MIN).compare(Number::Float(-9_223_372_036_854_775_808.0)), Some(Ordering::Equal));
        assert_eq!(Number::Int(-1).compare(Number::Float(-0.5)), Some(Ordering::Less));
        assert_eq!(Number::Int(0).compare(Number::Float(f64::NAN)), None);
        let all = NumberRange { low: Bound::Unbounded, high: Bound::Unbounded };
        assert!(all.contains(Number::Float(f64::INFINITY)) && !all.contains(Number::Float(f64::NAN)));
    }

    proptest! {
        #[test]
        fn printed_numbers_read_back(float in any::<f64>()) {
            prop_assume!(float.is_finite());
            let number = Number::float(float);
            prop_assert_eq!(Number::from_text(&number.to_string()), Some(number));
        }

        #[test]
        fn mixed_comparison_agrees_with_wide_integers(int in any::<i64>(), near in -3i64..3, half in any::<bool>()) {
            let float = int.saturating_add(near) as f64 + if half { 0.5 } else { 0.0 };
            let expected = (i128::from(int) * 2).cmp(&((float * 2.0) as i128));
            prop_assert_eq!(Number::Int(int).compare(Number::Float(float)), Some(expected));
        }
    }
}
