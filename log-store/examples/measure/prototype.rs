//! The lines of the design's prototype: 200 templates of 40 words, a random trace id each, about 297 bytes as JSON.

use std::fmt::Write;

use watchfire_model::record::{Core, Root, ValueRef};
use watchfire_model::{Level, RecordWriter, Timestamp};

use crate::random::Random;
use crate::{BATCH, START_MS};

const WORDS: &str = "request connection user cache order payment session token queue worker \
    job handler timeout retry upstream database query row index shard \
    replica leader follower commit snapshot segment flush merge block page \
    buffer stream socket client server config reload metric alert probe";

/// All templates.
pub fn templates() -> Vec<Vec<&'static str>> {
    (0..200).map(template).collect()
}

/// The words of a template; `{}` are variables.
fn template(number: u64) -> Vec<&'static str> {
    let mut random = Random(number * 77);
    let length = 5 + random.below(5);
    let all: Vec<&str> = WORDS.split_whitespace().collect();
    let mut words: Vec<&str> = (0..length).map(|_| all[random.below(all.len() as u64) as usize]).collect();
    let at = random.below(length) as usize;
    words.insert(at, "{}");
    if random.below(2) == 0 {
        words.push("{}");
    }
    words
}

/// Appends a record.
pub fn put_record(out: &mut Vec<u8>, number: u64, per_second: u64, random: &mut Random, templates: &[Vec<&str>]) {
    let at = START_MS + (number * 1000 / per_second) as i64;
    let skewed = random.below(200).min(random.below(200));
    let template = &templates[skewed as usize];
    let level = match random.below(100) {
        0..=1 => Level::Error,
        2..=6 => Level::Warn,
        7..=20 => Level::Debug,
        _ => Level::Info,
    };
    let batch_at = START_MS + (number / BATCH as u64 * BATCH as u64 * 1000 / per_second) as i64 + 20;
    let mut writer = RecordWriter::new(
        out,
        Timestamp::from_millis(at - random.below(5) as i64),
        Timestamp::from_millis(batch_at),
        level,
        297,
    );
    let mut message = String::new();
    for (index, word) in template.iter().enumerate() {
        if index > 0 {
            message.push(' ');
        }
        match *word {
            "{}" => {
                let _ = write!(message, "{}", random.below(1_000_000));
            }
            word => message.push_str(word),
        }
    }
    if number == 1_234_567 {
        message.push_str(" xylophone");
    }
    let mut text = String::new();
    writer.core(Core::Message, &message);
    let _ = write!(text, "service-{}", random.below(12).min(random.below(12)));
    writer.core(Core::Service, &text);
    text.clear();
    let id =
        0x018c_0000_0000_0000_0000_0000_0000_0000_u128 | u128::from(at as u64) << 64 | u128::from(number) << 42 | 77;
    let hex = format!("{id:032x}");
    let _ = write!(text, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    writer.core(Core::Id, &text);
    text.clear();
    let _ = write!(text, "host-{:02}", random.below(30));
    writer.core(Core::Host, &text);
    text.clear();
    let trace = u128::from(random.next()) << 64 | u128::from(random.next());
    let _ = write!(text, "{trace:032x}");
    writer.leaf(Root::Fields, "trace_id", ValueRef::Text(&text));
    text.clear();
    let _ = write!(text, "u{}", random.below(10_000));
    writer.core(Core::UserId, &text);
    let base = random.below(1000) * random.below(1000) / 100;
    writer.leaf(Root::Fields, "duration_ms", ValueRef::Float((base * 10 + random.below(10)) as f64 / 10.0));
    writer.leaf(Root::Fields, "status", ValueRef::Int([200, 200, 200, 200, 201, 404, 500][random.below(7) as usize]));
    writer.leaf(Root::Fields, "bytes", ValueRef::Int(random.below(100_000) as i64));
}
