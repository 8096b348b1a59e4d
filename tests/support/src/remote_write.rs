//! Requests of Prometheus' remote-write 1.0, as a sender makes them.

use watchfire_model::{Histogram, ResetHint};

/// Adds a field of bytes to a message.
fn put_bytes(number: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Appends a number as a varint.
pub fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The labels of a series, metric name included, as they stand at the beginning of its message.
pub fn labels<'l>(pairs: impl IntoIterator<Item = (&'l str, &'l str)>) -> Vec<u8> {
    let (mut out, mut label) = (Vec::new(), Vec::new());
    for (name, value) in pairs {
        label.clear();
        put_bytes(1, name.as_bytes(), &mut label);
        put_bytes(2, value.as_bytes(), &mut label);
        put_bytes(1, &label, &mut out);
    }
    out
}

/// Adds a series with samples, times in milliseconds and values, to a request.
pub fn put_series(labels: &[u8], samples: &[(i64, f64)], request: &mut Vec<u8>) {
    put_mixed_series(labels, samples, &[], request);
}

/// The same with native histograms beside the samples.
pub fn put_mixed_series(labels: &[u8], samples: &[(i64, f64)], histograms: &[(i64, Histogram)], request: &mut Vec<u8>) {
    let (mut series, mut sample) = (labels.to_vec(), Vec::new());
    for (at, value) in samples {
        sample.clear();
        sample.push(0x09);
        sample.extend_from_slice(&value.to_le_bytes());
        sample.push(0x10);
        put_varint(at.cast_unsigned(), &mut sample);
        put_bytes(2, &sample, &mut series);
    }
    for (at, histogram) in histograms {
        put_bytes(4, &histogram_message(*at, histogram), &mut series);
    }
    put_bytes(1, &series, request);
}

fn put_double(number: u8, value: f64, out: &mut Vec<u8>) {
    out.push(number << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// A native histogram as a message, its counts as floats; both versions have the same.
pub fn histogram_message(at: i64, histogram: &Histogram) -> Vec<u8> {
    let mut out = Vec::new();
    put_double(2, histogram.count(), &mut out);
    put_double(3, histogram.sum(), &mut out);
    out.push(4 << 3);
    put_varint(zigzag(histogram.schema().into()), &mut out);
    put_double(5, histogram.zero_threshold(), &mut out);
    put_double(7, histogram.zero_count(), &mut out);
    for (spans, counts, buckets) in [(8, 10, histogram.negative()), (11, 13, histogram.positive())] {
        let (mut next, mut rest) = (0, buckets.as_slice());
        while let Some((first, _)) = rest.first() {
            let length = rest.iter().zip(*first..).take_while(|((index, _), wanted)| index == wanted).count();
            let mut span = vec![1 << 3];
            put_varint(zigzag(i64::from(*first) - next), &mut span);
            span.push(2 << 3);
            put_varint(length as u64, &mut span);
            put_bytes(spans, &span, &mut out);
            next = i64::from(*first) + length as i64;
            rest = &rest[length..];
        }
        let packed: Vec<u8> = buckets.iter().flat_map(|(_, count)| count.to_le_bytes()).collect();
        put_bytes(counts, &packed, &mut out);
    }
    let hint = match histogram.hint() {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    out.extend([14 << 3, hint, 15 << 3]);
    put_varint(at.cast_unsigned(), &mut out);
    if !histogram.bounds().is_empty() {
        put_varint(16 << 3 | 2, &mut out);
        put_varint(histogram.bounds().len() as u64 * 8, &mut out);
        out.extend(histogram.bounds().iter().flat_map(|bound| bound.to_le_bytes()));
    }
    out
}

/// Adds what is said about a metric: its type by number, and its help.
pub fn put_metadata(metric: &str, kind: u8, help: &str, request: &mut Vec<u8>) {
    let mut metadata = vec![0x08, kind];
    put_bytes(2, metric.as_bytes(), &mut metadata);
    put_bytes(4, help.as_bytes(), &mut metadata);
    put_bytes(3, &metadata, request);
}

/// A request of version 1.0 as it goes over the wire to `/api/v1/write`, packed by snappy.
pub fn http_request(request: &[u8]) -> Vec<u8> {
    packed_request("application/x-protobuf", "0.1.0", request)
}

/// The same of version 2.0.
pub fn second_http_request(request: &[u8]) -> Vec<u8> {
    packed_request("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0", request)
}

fn packed_request(content_type: &str, version: &str, request: &[u8]) -> Vec<u8> {
    let packed = snap::raw::Encoder::new().compress_vec(request).expect("far below 4 GiB");
    let content_type = format!("Content-Type: {content_type}");
    let version = format!("X-Prometheus-Remote-Write-Version: {version}");
    crate::Client::request("POST", "/api/v1/write", &[&content_type, "Content-Encoding: snappy", &version], &packed)
}
