//! The newest samples as lines of Prometheus' text format 0.0.4.

use watchfire_model::Histogram;

use super::{Told, cumulative};
use crate::exposition::{Newest, push, put_sample, quoted};
use crate::numbers::general;

/// How far the text is.
#[derive(Default)]
pub(super) struct Lines {
    /// Metric and type of the lines before.
    begun: Option<(String, &'static str)>,
}

impl Lines {
    pub(super) fn put(&mut self, told: &Told<'_>, out: &mut Vec<u8>) {
        let name = told.labels.metric_name();
        let kind = match told.value {
            Newest::Float(_) => "untyped",
            Newest::Native(histogram) if histogram.is_custom() => "histogram",
            // Exponential buckets cannot be said in lines.
            Newest::Native(_) => return,
        };
        let (mut text, written) = (String::new(), told.escaping.metric(name));
        if self.begun.as_ref().is_none_or(|begun| begun.0 != name || begun.1 != kind) {
            push(&mut text, format_args!("# TYPE {} {kind}\n", quoted(&written, true)));
            self.begun = Some((name.to_owned(), kind));
        }
        match told.value {
            Newest::Float(value) => put_line(told, &written, None, *value, &mut text),
            Newest::Native(histogram) => put_histogram(told, &written, histogram, &mut text),
        }
        out.extend_from_slice(text.as_bytes());
    }
}

fn put_line(told: &Told<'_>, name: &str, le: Option<&str>, value: f64, text: &mut String) {
    put_sample(text, told.escaping, name, told.others().chain(le.map(|le| ("le", le))), value);
    push(text, format_args!(" {}\n", told.at.millis()));
}

fn put_histogram(told: &Told<'_>, name: &str, histogram: &Histogram, text: &mut String) {
    let bucket = format!("{name}_bucket");
    let infinite = (f64::INFINITY, histogram.count());
    for (bound, count) in cumulative(histogram).chain([infinite]) {
        put_line(told, &bucket, Some(&general(bound)), count, text);
    }
    put_line(told, &format!("{name}_sum"), None, histogram.sum(), text);
    put_line(told, &format!("{name}_count"), None, histogram.count(), text);
}
