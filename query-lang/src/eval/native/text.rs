//! A histogram as text, as `count_values` makes a label of it and templates of rules show it.

use std::fmt::Write;

use watchfire_model::Histogram;
use watchfire_model::histogram::Bucket;

use crate::eval::notes::general;

/// `{count:3, sum:2.5, (1,2]:3}`; empty buckets are left out.
pub fn text(histogram: &Histogram) -> String {
    let mut text = format!("{{count:{}, sum:{}", general(histogram.count()), general(histogram.sum()));
    for bucket in histogram.own_buckets().filter(|bucket| bucket.count != 0.0) {
        let Bucket { lower, upper, lower_inclusive, upper_inclusive, count } = bucket;
        let (open, close) = (if lower_inclusive { '[' } else { '(' }, if upper_inclusive { ']' } else { ')' });
        let (lower, upper, count) = (general(lower), general(upper), general_number(count));
        // Writing to a text cannot fail.
        let _ = write!(text, ", {open}{lower},{upper}{close}:{count}");
    }
    text.push('}');
    text
}

/// A number as `%v` of Go writes it: with an exponent from 1e21 on.
fn general_number(value: f64) -> String {
    if (1e6..1e21).contains(&value.abs()) { value.to_string() } else { general(value) }
}
