//! Requests of Prometheus' remote-write 1.0, as a sender makes them.

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
    let (mut series, mut sample) = (labels.to_vec(), Vec::new());
    for (at, value) in samples {
        sample.clear();
        sample.push(0x09);
        sample.extend_from_slice(&value.to_le_bytes());
        sample.push(0x10);
        put_varint(at.cast_unsigned(), &mut sample);
        put_bytes(2, &sample, &mut series);
    }
    put_bytes(1, &series, request);
}

/// Adds what is said about a metric: its type by number, and its help.
pub fn put_metadata(metric: &str, kind: u8, help: &str, request: &mut Vec<u8>) {
    let mut metadata = vec![0x08, kind];
    put_bytes(2, metric.as_bytes(), &mut metadata);
    put_bytes(4, help.as_bytes(), &mut metadata);
    put_bytes(3, &metadata, request);
}

/// A request as it goes over the wire to `/api/v1/write`, packed by snappy.
pub fn http_request(request: &[u8]) -> Vec<u8> {
    let packed = snap::raw::Encoder::new().compress_vec(request).expect("far below 4 GiB");
    let headers = [
        "Content-Type: application/x-protobuf",
        "Content-Encoding: snappy",
        "X-Prometheus-Remote-Write-Version: 0.1.0",
    ];
    crate::Client::request("POST", "/api/v1/write", &headers, &packed)
}
