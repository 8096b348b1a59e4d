//! Dashboard and alert queries: CPU of the server for each, and whether the answers agree.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use watchfire_test_support::Client;
use watchfire_test_support::client::encode;
use watchfire_test_support::fleet::STEP_MS;

use crate::load::Load;
use crate::peer::{PROGRAMS, Peer};

const QUERIES: &str = include_str!("queries.txt");
const RANGE_MS: i64 = 3_600_000;
/// A query is asked until the server has taken so long for it, and at least and most so often.
const ENOUGH: Duration = Duration::from_millis(300);
const TIMES: (u32, u32) = (5, 60);

/// One query as it is asked.
struct Query {
    text: &'static str,
    is_range: bool,
}

/// What a program made of a query.
struct Asked {
    cpu_ms: f64,
    answer: Value,
}

/// Asks all of them all queries.
pub fn run() {
    let queries: Vec<Query> = QUERIES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(form, text)| Query { text, is_range: form == "range" })
        .collect();
    let load = Arc::new(Load::new(10_000, 360));
    let asked: Vec<(&str, Vec<Asked>)> = PROGRAMS
        .iter()
        .filter_map(|program| {
            let peer = program.start()?;
            load.send(&peer);
            // What is merged and packed behind the last sample is no part of a query.
            std::thread::sleep(Duration::from_secs(15));
            Some((program.name, queries.iter().map(|query| ask(&peer, query, &load)).collect()))
        })
        .collect();
    print(&queries, &asked);
}

fn ask(peer: &Peer, query: &Query, load: &Load) -> Asked {
    let mut client = peer.client();
    let path = |shift: i64| {
        let text = encode(query.text);
        let end = load.last_ms() - shift;
        // Seconds with a fraction; `nocache` is for who keeps answers.
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
        if query.is_range {
            let start = seconds(end - RANGE_MS);
            let step = STEP_MS / 1000;
            format!("/api/v1/query_range?query={text}&start={start}&end={}&step={step}&nocache=1", seconds(end))
        } else {
            format!("/api/v1/query?query={text}&time={}&nocache=1", seconds(end))
        }
    };
    let get = |client: &mut Client, path: &str| client.call(&Client::request("GET", path, &[], b""));
    let answer = get(&mut client, &path(0)).json();
    let before = peer.cpu();
    let mut times = 0;
    while times < TIMES.0 || (times < TIMES.1 && peer.cpu() - before < ENOUGH) {
        times += 1;
        // Each time another moment, so that no answer is one that was kept.
        get(&mut client, &path(i64::from(times)));
    }
    Asked { cpu_ms: (peer.cpu() - before).as_secs_f64() * 1000.0 / f64::from(times), answer }
}

fn print(queries: &[Query], asked: &[(&str, Vec<Asked>)]) {
    let names: String = asked.iter().map(|(name, _)| format!("{name:>18}")).collect();
    println!("CPU ms of the server a query\n{:<6}{names}", "");
    for (number, query) in queries.iter().enumerate() {
        let row: String = asked.iter().map(|(_, all)| format!("{:>18.2}", all[number].cpu_ms)).collect();
        let differ = asked.get(1).is_some_and(|(_, all)| !agree(&asked[0].1[number].answer, &all[number].answer));
        let form = if query.is_range { "range" } else { "alert" };
        println!("{form:<6}{row}  {}{}", query.text, if differ { "  DIFFERS" } else { "" });
    }
    for (name, all) in asked.iter().skip(1) {
        let ratios: Vec<f64> = all.iter().zip(&asked[0].1).map(|(other, ours)| other.cpu_ms / ours.cpu_ms).collect();
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{name}: geometric mean {mean:.2} times our CPU, least {least:.2} times");
    }
}

/// Whether two answers have the same series with the same values, up to the last digits.
fn agree(ours: &Value, other: &Value) -> bool {
    let all = |answer: &Value| -> Option<Vec<(String, Vec<f64>)>> {
        let mut all: Vec<_> = answer["data"]["result"]
            .as_array()?
            .iter()
            .map(|one| {
                let points = one["values"].as_array().cloned().unwrap_or_else(|| vec![one["value"].clone()]);
                let numbers = points.iter().map(|point| point[1].as_str().and_then(|text| text.parse().ok()));
                (one["metric"].to_string(), numbers.map(|number| number.unwrap_or(f64::NAN)).collect())
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Some(all)
    };
    let (Some(ours), Some(other)) = (all(ours), all(other)) else { return false };
    let near =
        |(a, b): (&f64, &f64)| (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    ours.len() == other.len()
        && ours.iter().zip(&other).all(|(a, b)| a.0 == b.0 && a.1.len() == b.1.len() && a.1.iter().zip(&b.1).all(near))
}
