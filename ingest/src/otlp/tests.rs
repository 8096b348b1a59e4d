use proptest::prelude::*;

use super::points::{Shape, Value};
use super::*;

#[test]
fn json_says_what_the_message_says() {
    let json =
        br#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},
        {"key":"list","value":{"arrayValue":{"values":[{"intValue":"5"},{"boolValue":true},{"stringValue":"<"},{}]}}},
        {"key":"map","value":{"kvlistValue":{"values":[{"key":"b","value":{"doubleValue":1e-7}},
            {"key":"a","value":{"bytesValue":"AQID"}}]}}}]},
        "scopeMetrics":[{"scope":{"name":"x"},"metrics":[{"name":"m","unit":"s","unknown":[1,{"a":2}],"sum":{
            "aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","isMonotonic":true,
            "dataPoints":[{"timeUnixNano":"1700000000000000000","asInt":"-7","flags":1},{"asDouble":"NaN"}]}}]}]}]}"#;
    let message = json::to_message(json).expect("JSON of OTLP");
    let mut request = watchfire_protobuf::Message::new(&message);
    let (number, source) = request.next().expect("a message").expect("a source");
    assert_eq!((number, request.next()), (1, Ok(None)));
    let resource = labels::Resource::read(
        watchfire_protobuf::Message::new(source.bytes().expect("bytes"))
            .next()
            .expect("fields")
            .expect("one")
            .1
            .bytes()
            .expect("bytes"),
    );
    let Ok(Ok(resource)) = resource else { panic!("no resource") };
    let info = resource.info.expect("it says something");
    let mut pairs = info.pairs("target_info");
    pairs.sort_unstable();
    let wanted = [
        ("__name__", "target_info"),
        ("job", "shop"),
        ("list", "[5,true,\"<\",null]"),
        ("map", "{\"a\":\"AQID\",\"b\":1e-7}"),
    ];
    assert_eq!(pairs, wanted);
}

#[test]
fn what_is_no_otlp_json_is_told() {
    for body in [
        "",
        "[1]",
        "{\"resourceMetrics\":{}}",
        "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"gauge\":{\"dataPoints\":[{\"timeUnixNano\":\"x\"}]}}]}]}]}",
    ] {
        assert!(json::to_message(body.as_bytes()).is_err(), "{body}");
    }
    assert_eq!(json::to_message(b"{}").ok(), Some(Vec::new()));
    let deep = format!(
        "{{\"resourceMetrics\":[{{\"resource\":{}",
        "{\"attributes\":[{\"value\":{\"arrayValue\":{\"values\":[".repeat(10_000)
    );
    assert!(json::to_message(deep.as_bytes()).is_err());
}

#[test]
fn points_are_read_packed_or_not() {
    let mut message = Vec::new();
    let mut point = watchfire_protobuf::Writer::new(&mut message);
    point.fixed64(3, 2_000_000);
    point.fixed64(4, 6);
    point.bytes(6, &[1u64.to_le_bytes(), 5u64.to_le_bytes()].concat());
    point.fixed64(7, 0.5f64.to_bits());
    point.fixed64(10 - 1, 0);
    let field = watchfire_protobuf::Field::Bytes(&message);
    // Attributes are messages.
    assert!(points::read(field, Shape::Histogram).is_ok_and(|point| point.attributes.len() == 1));
    let read = points::read(field, Shape::Histogram).expect("a point");
    assert_eq!(read.at().millis(), 2);
    assert_eq!(read.value, Value::Histogram { count: 6, sum: None, counts: vec![1, 5], bounds: vec![0.5] });
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for shape in [Shape::Number, Shape::Histogram, Shape::Exponential, Shape::Summary] {
            let _ = points::read(watchfire_protobuf::Field::Bytes(&body), shape);
        }
        let _ = labels::Resource::read(&body);
        let _ = json::to_message(&body);
    }
}
