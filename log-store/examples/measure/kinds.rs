//! Kinds of records: what the store is measured on.

use std::fmt::Write;
use std::path::PathBuf;

use watchfire_model::record::{Core, Root, ValueRef};
use watchfire_model::{Level, RecordWriter, Timestamp, Value};

use crate::random::Random;
use crate::{START_MS, prototype};

/// Where records come from.
pub enum Kind {
    /// [`prototype`].
    Prototype(Vec<Vec<&'static str>>),
    /// The lines of the benches of the whole path.
    Service(watchfire_test_support::lines::Random),
    /// Access logs as one string each.
    Nginx,
    /// Messages of words at random.
    Words(Vec<String>),
    /// 500 keys in each record.
    Wide,
    /// Lines of files.
    Files(Vec<String>),
}

impl Kind {
    /// By name; anything else is a file or a folder of files.
    pub fn named(names: &[String]) -> Kind {
        match names.first().map(String::as_str) {
            None | Some("prototype") => Kind::Prototype(prototype::templates()),
            Some("service") => Kind::Service(watchfire_test_support::lines::Random::new(1)),
            Some("nginx") => Kind::Nginx,
            Some("words") => Kind::Words((0..5000).map(word).collect()),
            Some("wide") => Kind::Wide,
            Some(_) => Kind::Files(names.iter().flat_map(|path| lines_of(path.into())).collect()),
        }
    }

    /// How many records there are at most.
    pub fn count(&self) -> Option<u64> {
        match self {
            Kind::Files(lines) => Some(lines.len() as u64),
            _ => None,
        }
    }

    /// Appends record `number`; gives its bytes as a line.
    pub fn put(&mut self, out: &mut Vec<u8>, number: u64, per_second: u64, random: &mut Random) -> usize {
        let time = START_MS + (number * 1000 / per_second) as i64;
        match self {
            Kind::Prototype(templates) => {
                prototype::put_record(out, number, per_second, random, templates);
                297
            }
            Kind::Service(lines) => put_service(out, time, number, lines),
            Kind::Nginx => put_message(out, time, number, &nginx(time, random)),
            Kind::Words(words) => {
                let count = 4 + random.below(8);
                let message: Vec<&str> =
                    (0..count).map(|_| words[random.skewed(words.len() as u64) as usize].as_str()).collect();
                put_message(out, time, number, &message.join(" "))
            }
            Kind::Wide => put_wide(out, time, number, random),
            Kind::Files(lines) => put_message(out, time, number, &lines[number as usize]),
        }
    }
}

fn lines_of(path: PathBuf) -> Vec<String> {
    if path.is_dir() {
        let files = std::fs::read_dir(path).into_iter().flatten().flatten();
        return files.flat_map(|file| lines_of(file.path())).collect();
    }
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn word(number: u64) -> String {
    let mut random = Random(number * 31 + 7);
    (0..3 + random.below(8)).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

/// An id as the server gives them.
fn id(time: i64, number: u64) -> String {
    let bits = u128::from(time as u64) << 80 | 7 << 76 | u128::from(number >> 20) << 64;
    let hex = format!("{:032x}", bits | 8 << 60 | u128::from(number & 0xf_ffff) << 42 | 77);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn put_message(out: &mut Vec<u8>, time: i64, number: u64, message: &str) -> usize {
    let (at, length) = (Timestamp::from_millis(time), message.len());
    let mut writer = RecordWriter::new(out, at, at, Level::Info, length as u32);
    writer.core(Core::Message, message);
    writer.core(Core::Service, "unknown");
    writer.core(Core::Id, &id(time, number));
    length
}

fn put_service(out: &mut Vec<u8>, time: i64, number: u64, lines: &mut watchfire_test_support::lines::Random) -> usize {
    let mut line = String::new();
    watchfire_test_support::lines::push_line(lines, &mut line);
    let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).expect("is JSON");
    let text = |name: &str| parsed.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let level = Level::ALL.into_iter().find(|level| level.as_str() == text("level")).unwrap_or_default();
    let at = Timestamp::from_millis(time);
    let mut writer = RecordWriter::new(out, at, at, level, line.len() as u32);
    writer.core(Core::Message, text("message"));
    writer.core(Core::Service, text("service"));
    writer.core(Core::Id, &id(time, number));
    writer.core(Core::Host, text("host"));
    writer.core(Core::UserId, text("user_id"));
    for name in ["trace_id", "route"] {
        writer.leaf(Root::Fields, name, ValueRef::Text(text(name)));
    }
    for name in ["duration_ms", "status", "bytes"] {
        let number = parsed.get(name).cloned().unwrap_or_default();
        let value = number.as_i64().map_or(ValueRef::Float(number.as_f64().unwrap_or(0.0)), ValueRef::Int);
        writer.leaf(Root::Fields, name, value);
    }
    line.len()
}

/// A line of an access log in the combined format.
fn nginx(time: i64, random: &mut Random) -> String {
    const PATHS: [&str; 12] = [
        "/",
        "/login",
        "/api/v1/users/{}",
        "/api/v1/orders/{}",
        "/api/v1/orders/{}/items",
        "/static/app.js",
        "/static/main.css",
        "/images/{}.png",
        "/search?q=shoes&page={}",
        "/health",
        "/cart",
        "/api/v2/stock?sku={}",
    ];
    const AGENTS: [&str; 6] = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "curl/8.5.0",
        "Googlebot/2.1 (+http://www.google.com/bot.html)",
        "okhttp/4.12.0",
    ];
    let path = PATHS[random.skewed(12) as usize].replace("{}", &random.below(100_000).to_string());
    let status = [200, 200, 200, 200, 200, 304, 301, 404, 500, 502][random.below(10) as usize];
    let (seconds, mut line) = (time / 1000, String::new());
    let client = random.skewed(20_000) * 2_654_435_761;
    let _ = write!(
        line,
        "{}.{}.{}.{} - - [01/Jan/2024:{:02}:{:02}:{:02} +0000] \"{} {path} HTTP/1.1\" {status} {} \"{}\" \"{}\"",
        client % 223,
        client / 223 % 256,
        client / 60_000 % 256,
        client / 15_000_000 % 256,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        ["GET", "GET", "GET", "POST"][random.below(4) as usize],
        random.skewed(60_000),
        ["-", "https://shop.example/", "https://www.google.com/"][random.skewed(3) as usize],
        AGENTS[random.skewed(6) as usize],
    );
    line
}

fn put_wide(out: &mut Vec<u8>, time: i64, number: u64, random: &mut Random) -> usize {
    let at = Timestamp::from_millis(time);
    let start = out.len();
    let mut writer = RecordWriter::new(out, at, at, Level::Info, 9000);
    writer.core(Core::Message, "state of a device");
    writer.core(Core::Service, "devices");
    writer.core(Core::Id, &id(time, number));
    for key in 0..500u64 {
        let value = match key % 5 {
            0 => Value::Int(random.below(1000) as i64),
            1 => Value::Float(random.below(10_000) as f64 / 10.0),
            2 => Value::Bool(random.below(10) > 0),
            3 => Value::Text(["on", "off", "standby", "fault"][random.skewed(4) as usize].to_owned()),
            _ => Value::Text(format!("v{}", random.below(100_000))),
        };
        // A third of the keys differs from record to record.
        let name = if key % 3 == 0 { format!("key{}", key + 500 * random.below(4)) } else { format!("key{key}") };
        writer.tree(Root::Fields, &name, &value);
    }
    out.len() - start
}
