//! What is written reads back, and no bytes make the reader fall.
use super::*;
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e9f64..1e9).prop_map(Value::Float),
        ".{0,12}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-z.]{1,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn fields() -> impl Strategy<Value = Fields> {
    prop::collection::btree_map("[a-z.]{1,8}", value(), 0..5).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn records_read_back_as_written(
        (timestamp, accepted, imported) in any::<(i64, i64, bool)>(),
        level in 0u8..8,
        message in ".{0,40}",
        host in prop::option::of(".{0,8}"),
        tags in prop::collection::btree_map(".{1,6}", ".{0,6}", 0..3),
        fields in fields(),
        error_details in fields(),
    ) {
        let record = LogRecord {
            timestamp: Timestamp::from_millis(timestamp),
            accepted_at: Timestamp::from_millis(accepted),
            level: Level::from_u8(level).expect("in range"),
            message, host, fields, error_details, imported,
            tags: tags.into_iter().collect(),
            received_bytes: 7,
            ..LogRecord::default()
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let view = RecordView::parse(&bytes).expect("just written");
        prop_assert_eq!(view.to_record(), record);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(view) = RecordView::parse(&bytes) { let _ = view.to_record(); }
    }

    #[test]
    fn a_flipped_byte_is_an_error_or_another_record(at in 0usize..400, bit in 0u8..8, fields in fields()) {
        let mut bytes = Vec::new();
        LogRecord { message: "hello".into(), fields, ..LogRecord::default() }.encode(&mut bytes);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let parsed = RecordView::parse(&bytes);
        if let Ok(view) = parsed { let _ = view.to_record(); }
        // Who reads on behind an error does not make a whole record of it.
        if let Ok(mut reader) = RecordReader::new(&bytes) {
            while reader.next_entry().map_or(true, |entry| entry.is_some()) {}
            prop_assert_eq!(reader.finish().is_ok(), parsed.is_ok());
        }
    }
}

#[test]
fn deep_nesting_is_cut_not_overflowed() {
    let mut value = Value::Int(1);
    for _ in 0..10_000 {
        value = Value::Array(vec![value]);
    }
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&mut bytes, Timestamp::default(), Timestamp::default(), Level::Info, 0);
    writer.tree(Root::Fields, "deep", &value);
    assert!(RecordView::parse(&bytes).is_ok());
    // Dropping a value nested this deep would recurse as deep; take it apart by hand.
    while let Value::Array(mut inner) = value {
        value = inner.pop().unwrap_or(Value::Null);
    }
}
