//! OTLP's JSON, written as the message that it stands for: lists are encoded element by element, so that a body takes memory
//! in proportion to its length, however many objects it consists of.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>: names in lowerCamelCase, numbers of 64 bits
//! also as texts, enums as numbers (their names are understood too), what is unknown is passed over.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use watchfire_protobuf::Writer;

/// The message of a JSON body. Errors: it is no such JSON.
pub(crate) fn to_message(body: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let request: Request = serde_json::from_slice(body)?;
    Ok(request.resource_metrics.bytes)
}

/// What can be written as a message.
trait Put {
    fn put(&self, to: &mut Writer<'_>);
}

/// A list whose elements are encoded already, as fields of this number.
struct List<T, const NUMBER: u32> {
    bytes: Vec<u8>,
    of: PhantomData<T>,
}

impl<T, const NUMBER: u32> Default for List<T, NUMBER> {
    fn default() -> Self {
        List { bytes: Vec::new(), of: PhantomData }
    }
}

impl<'de, T: Deserialize<'de> + Put, const NUMBER: u32> Deserialize<'de> for List<T, NUMBER> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T, const NUMBER: u32>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Put, const NUMBER: u32> Visitor<'de> for Elements<T, NUMBER> {
            type Value = List<T, NUMBER>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(List::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let mut list = List::default();
                while let Some(element) = elements.next_element::<T>()? {
                    Writer::new(&mut list.bytes).message(NUMBER, |message| element.put(message));
                }
                Ok(list)
            }
        }
        deserializer.deserialize_any(Elements(PhantomData))
    }
}

/// A number of 64 bits, or a fraction: as a number or as a text.
#[derive(Clone, Copy, Default)]
struct Number<T>(T);

impl<'de, T: std::str::FromStr> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(serde_json::Number),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
        };
        // What protobuf's JSON calls them, Rust reads as well: `NaN`, `Infinity`, `-Infinity`.
        text.parse().map(Number).map_err(|_| Error::custom(format!("`{text}` is no number that belongs here")))
    }
}

/// `aggregationTemporality`
#[derive(Clone, Copy, Default)]
struct Temporality(i64);

impl<'de> Deserialize<'de> for Temporality {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        Ok(Temporality(match Written::deserialize(deserializer)? {
            Written::Number(number) => number,
            Written::Text(text) if text == "AGGREGATION_TEMPORALITY_DELTA" => 1,
            Written::Text(text) if text == "AGGREGATION_TEMPORALITY_CUMULATIVE" => 2,
            Written::Text(_) => 0,
        }))
    }
}

/// Bytes, as base64.
struct Binary(Vec<u8>);

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Binary).map_err(|error| Error::custom(format!("`bytesValue` is no base64: {error}")))
    }
}

/// The id of a trace or span, in hexadecimal: the one kind of bytes that is not base64.
#[derive(Default)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty());
        bytes.map(Hex).ok_or_else(|| Error::custom(format!("`{text}` is no id in hexadecimal")))
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    resource_metrics: List<Source, 1>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    resource: Resource,
    scope_metrics: List<Scope, 2>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resource {
    attributes: List<KeyValue, 1>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Scope {
    metrics: List<Metric, 2>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metric {
    name: String,
    description: String,
    unit: String,
    gauge: Option<Data<NumberPoint>>,
    sum: Option<Data<NumberPoint>>,
    histogram: Option<Data<HistogramPoint>>,
    exponential_histogram: Option<Data<ExponentialPoint>>,
    summary: Option<Data<SummaryPoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default, bound = "T: Deserialize<'de> + Put")]
struct Data<T> {
    data_points: List<T, 1>,
    aggregation_temporality: Temporality,
    is_monotonic: bool,
}

impl<T> Default for Data<T> {
    fn default() -> Self {
        Data { data_points: List::default(), aggregation_temporality: Temporality::default(), is_monotonic: false }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NumberPoint {
    time_unix_nano: Number<u64>,
    as_double: Option<Number<f64>>,
    as_int: Option<Number<i64>>,
    attributes: List<KeyValue, 7>,
    exemplars: List<Exemplar, 5>,
    flags: Number<u32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Exemplar {
    time_unix_nano: Number<u64>,
    as_double: Option<Number<f64>>,
    as_int: Option<Number<i64>>,
    span_id: Hex,
    trace_id: Hex,
    filtered_attributes: List<KeyValue, 7>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct HistogramPoint {
    time_unix_nano: Number<u64>,
    count: Number<u64>,
    sum: Option<Number<f64>>,
    bucket_counts: Vec<Number<u64>>,
    explicit_bounds: Vec<Number<f64>>,
    attributes: List<KeyValue, 9>,
    exemplars: List<Exemplar, 8>,
    flags: Number<u32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ExponentialPoint {
    time_unix_nano: Number<u64>,
    count: Number<u64>,
    sum: Option<Number<f64>>,
    scale: Number<i32>,
    zero_count: Number<u64>,
    positive: Option<ExponentialBuckets>,
    negative: Option<ExponentialBuckets>,
    attributes: List<KeyValue, 1>,
    exemplars: List<Exemplar, 11>,
    flags: Number<u32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ExponentialBuckets {
    offset: Number<i32>,
    bucket_counts: Vec<Number<u64>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SummaryPoint {
    time_unix_nano: Number<u64>,
    count: Number<u64>,
    sum: Number<f64>,
    quantile_values: List<Quantile, 6>,
    attributes: List<KeyValue, 7>,
    flags: Number<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Quantile {
    quantile: Number<f64>,
    value: Number<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AnyValue {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Number<i64>>,
    double_value: Option<Number<f64>>,
    array_value: Option<Values>,
    kvlist_value: Option<Members>,
    bytes_value: Option<Binary>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Values {
    values: List<AnyValue, 1>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Members {
    values: List<KeyValue, 1>,
}

impl Put for Source {
    fn put(&self, to: &mut Writer<'_>) {
        to.message(1, |resource| resource.raw(&self.resource.attributes.bytes));
        to.raw(&self.scope_metrics.bytes);
    }
}

impl Put for Scope {
    fn put(&self, to: &mut Writer<'_>) {
        to.raw(&self.metrics.bytes);
    }
}

impl Put for Metric {
    fn put(&self, to: &mut Writer<'_>) {
        to.bytes(1, self.name.as_bytes());
        to.bytes(2, self.description.as_bytes());
        to.bytes(3, self.unit.as_bytes());
        put_data(5, self.gauge.as_ref(), to);
        put_data(7, self.sum.as_ref(), to);
        put_data(9, self.histogram.as_ref(), to);
        put_data(10, self.exponential_histogram.as_ref(), to);
        put_data(11, self.summary.as_ref(), to);
    }
}

fn put_data<T>(number: u32, data: Option<&Data<T>>, to: &mut Writer<'_>) {
    let Some(data) = data else { return };
    to.message(number, |message| {
        message.raw(&data.data_points.bytes);
        message.signed(2, data.aggregation_temporality.0);
        message.signed(3, i64::from(data.is_monotonic));
    });
}

impl Put for Exemplar {
    fn put(&self, to: &mut Writer<'_>) {
        to.fixed64(2, self.time_unix_nano.0);
        if let Some(value) = self.as_double {
            to.fixed64(3, value.0.to_bits());
        }
        to.bytes(4, &self.span_id.0);
        to.bytes(5, &self.trace_id.0);
        if let Some(value) = self.as_int {
            to.fixed64(6, value.0.cast_unsigned());
        }
        to.raw(&self.filtered_attributes.bytes);
    }
}

impl Put for NumberPoint {
    fn put(&self, to: &mut Writer<'_>) {
        to.fixed64(3, self.time_unix_nano.0);
        if let Some(value) = self.as_double {
            to.fixed64(4, value.0.to_bits());
        }
        if let Some(value) = self.as_int {
            to.fixed64(6, value.0.cast_unsigned());
        }
        to.raw(&self.attributes.bytes);
        to.raw(&self.exemplars.bytes);
        to.signed(8, i64::from(self.flags.0));
    }
}

impl Put for HistogramPoint {
    fn put(&self, to: &mut Writer<'_>) {
        to.fixed64(3, self.time_unix_nano.0);
        to.fixed64(4, self.count.0);
        if let Some(sum) = self.sum {
            to.fixed64(5, sum.0.to_bits());
        }
        self.bucket_counts.iter().for_each(|count| to.fixed64(6, count.0));
        self.explicit_bounds.iter().for_each(|bound| to.fixed64(7, bound.0.to_bits()));
        to.raw(&self.attributes.bytes);
        to.raw(&self.exemplars.bytes);
        to.signed(10, i64::from(self.flags.0));
    }
}

impl Put for ExponentialPoint {
    fn put(&self, to: &mut Writer<'_>) {
        to.raw(&self.attributes.bytes);
        to.raw(&self.exemplars.bytes);
        to.fixed64(3, self.time_unix_nano.0);
        to.fixed64(4, self.count.0);
        if let Some(sum) = self.sum {
            to.fixed64(5, sum.0.to_bits());
        }
        to.zigzag(6, self.scale.0.into());
        to.fixed64(7, self.zero_count.0);
        for (number, buckets) in [(8, &self.positive), (9, &self.negative)] {
            if let Some(buckets) = buckets {
                to.message(number, |message| buckets.put(message));
            }
        }
        to.signed(10, i64::from(self.flags.0));
    }
}

impl Put for ExponentialBuckets {
    fn put(&self, to: &mut Writer<'_>) {
        to.zigzag(1, self.offset.0.into());
        self.bucket_counts.iter().for_each(|count| to.varint(2, count.0));
    }
}

impl Put for SummaryPoint {
    fn put(&self, to: &mut Writer<'_>) {
        to.fixed64(3, self.time_unix_nano.0);
        to.fixed64(4, self.count.0);
        to.fixed64(5, self.sum.0.to_bits());
        to.raw(&self.quantile_values.bytes);
        to.raw(&self.attributes.bytes);
        to.signed(8, i64::from(self.flags.0));
    }
}

impl Put for Quantile {
    fn put(&self, to: &mut Writer<'_>) {
        to.double(1, self.quantile.0);
        to.double(2, self.value.0);
    }
}

impl Put for KeyValue {
    fn put(&self, to: &mut Writer<'_>) {
        to.bytes(1, self.key.as_bytes());
        to.message(2, |value| self.value.put(value));
    }
}

impl Put for AnyValue {
    fn put(&self, to: &mut Writer<'_>) {
        if let Some(text) = &self.string_value {
            to.message(1, |message| message.raw(text.as_bytes()));
        } else if let Some(value) = self.bool_value {
            to.varint(2, u64::from(value));
        } else if let Some(value) = self.int_value {
            to.varint(3, value.0.cast_unsigned());
        } else if let Some(value) = self.double_value {
            to.fixed64(4, value.0.to_bits());
        } else if let Some(list) = &self.array_value {
            to.message(5, |message| message.raw(&list.values.bytes));
        } else if let Some(members) = &self.kvlist_value {
            to.message(6, |message| message.raw(&members.values.bytes));
        } else if let Some(Binary(bytes)) = &self.bytes_value {
            to.message(7, |message| message.raw(bytes));
        }
    }
}
