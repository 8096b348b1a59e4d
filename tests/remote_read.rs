//! Remote-read: a real Prometheus that has nothing of its own answers from our series, by both types of response.

use watchfire_protobuf::Message;
use watchfire_test_support::client::encode;
use watchfire_test_support::prometheus::{Written, call, write_to};
use watchfire_test_support::{Client, Program, Prometheus, Server, answers, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const STEP_MS: i64 = 15_000;
const STEPS: i64 = 1200;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("milliseconds fit")
}

/// A series without histograms.
fn series<'s>(labels: &[(&'s str, &'s str)], samples: Vec<(i64, f64)>) -> Written<'s> {
    Written { labels: labels.to_vec(), samples, histograms: Vec::new() }
}

/// Series of every temper, the same for both.
fn fill(client: &mut Client, begin: i64) {
    let mut request = Vec::new();
    for number in 0..40i64 {
        let (name, instance) = (["steps_total", "noise", "rare"][number as usize % 3], format!("host-{number}"));
        let labels = remote_write::labels([
            ("__name__", name),
            ("instance", &instance),
            ("job", ["a", "b"][number as usize % 2]),
        ]);
        let samples: Vec<(i64, f64)> = (0..STEPS)
            .filter(|step| name != "rare" || step % 37 == number)
            .map(|step| {
                let at = begin + step * STEP_MS + (step * number) % 7;
                let value = match (name, step % 200) {
                    (_, 150) => f64::INFINITY,
                    ("steps_total", _) => (step * number % 5000) as f64,
                    (_, 77) => f64::NAN,
                    _ => ((step * 7919 + number) % 1000) as f64 / 3.0,
                };
                (at, value)
            })
            .collect();
        remote_write::put_series(&labels, &samples, &mut request);
    }
    let answer = client.call(&remote_write::http_request(&request));
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[test]
fn a_real_prometheus_answers_from_our_series() {
    let Some(program) = Program::of_prometheus("prometheus", "remote-read") else { return };
    let server = Server::start(BINARY, "");
    let begin = now_ms() - STEPS * STEP_MS;
    fill(&mut server.client(), begin);
    let url = format!("http://{}/api/v1/read", server.address);
    let whole = format!("{}s", STEPS * STEP_MS / 1000 + 60);
    // Both sides answer by the same rules; one of them reads our series through the protocol, as streamed chunks.
    let prometheus =
        Prometheus::start_with(&program, |_| format!("remote_read:\n  - url: {url}\n    read_recent: true\n"));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let end = format!("{:.3}", (begin + STEPS * STEP_MS) as f64 / 1000.0);
    let start = format!("{:.3}", begin as f64 / 1000.0);
    for selector in
        ["steps_total", "noise{job!=\"a\"}", "{__name__=~\"rare|noise\",job=~\"a|c\"}", "rare{job!~\"b.*\"}"]
    {
        let query = format!("{selector}[{whole}]");
        let points = answers::same(&mut ours, &mut theirs, "/api/v1/query", &[("query", &query), ("time", &end)]);
        assert!(points > 100, "{selector}: {points}");
    }
    for query in ["sum by (job) (rate(steps_total[5m]))", "quantile(0.9, noise)", "count_over_time(rare[1h])"] {
        let parameters = [("query", query), ("start", &start), ("end", &end), ("step", "60")];
        let points = answers::same(&mut ours, &mut theirs, "/api/v1/query_range", &parameters);
        assert!(points > 100, "{query}: {points}");
    }
    let (_, series) = call(&mut theirs, "/api/v1/series", &[("match[]", "rare"), ("start", &start), ("end", &end)]);
    assert_eq!(series["data"].as_array().map(Vec::len), Some(12), "{series}");
}

/// The samples of a message of the type `SAMPLES`: labels as text, times and bits of values.
fn samples(body: &[u8]) -> Vec<(String, i64, u64)> {
    let message = snap::raw::Decoder::new().decompress_vec(body).expect("packed");
    let mut all = Vec::new();
    let each = |bytes: &[u8], number: u64, each: &mut dyn FnMut(&[u8])| {
        let mut message = Message::new(bytes);
        while let Some((found, field)) = message.next().expect("a message") {
            if found == number {
                each(field.bytes().expect("bytes"));
            }
        }
    };
    each(&message, 1, &mut |result| {
        each(result, 1, &mut |series| {
            let mut name = String::new();
            each(series, 1, &mut |label| name.push_str(&String::from_utf8_lossy(label)));
            each(series, 2, &mut |sample| {
                let (mut at, mut value) = (0, 0.0);
                let mut fields = Message::new(sample);
                while let Some((number, field)) = fields.next().expect("a message") {
                    match number {
                        1 => value = field.double().expect("a double"),
                        _ => at = field.signed().expect("a time"),
                    }
                }
                all.push((name.clone(), at, f64::to_bits(value)));
            });
        });
    });
    all
}

/// A request for the series with these labels, up to now, by types of response.
fn request(types: &[u8], labels: &[(&str, &str)]) -> Vec<u8> {
    let labels: Vec<_> = labels.iter().map(|(name, value)| (0, name.as_bytes(), value.as_bytes())).collect();
    matching(types, &labels)
}

/// A request for the series that these matchers meet, each with the number of its type.
fn matching(types: &[u8], matchers: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
    let mut query = vec![0x10];
    remote_write::put_varint(now_ms().cast_unsigned(), &mut query);
    for (kind, name, value) in matchers {
        let texts = [&[0x08, *kind, 0x12, name.len() as u8][..], name, &[0x1a, value.len() as u8], value];
        let matcher = texts.concat();
        query.extend_from_slice(&[0x1a, matcher.len() as u8]);
        query.extend_from_slice(&matcher);
    }
    let mut message = [&[0x0a, query.len() as u8][..], &query].concat();
    types.iter().for_each(|kind| message.extend_from_slice(&[0x10, *kind]));
    let packed = snap::raw::Encoder::new().compress_vec(&message).expect("short");
    Client::request("POST", "/api/v1/read", &["Content-Encoding: snappy"], &packed)
}

#[test]
fn external_labels_leave_with_what_has_none_of_their_names() {
    let Some(program) = Program::of_prometheus("prometheus", "external labels in remote-read") else { return };
    let config = "global: {external_labels: {region: eu, job: other, zone: \"1\"}}\n";
    let (ours, theirs) = (Server::start(BINARY, config), Prometheus::start_with(&program, |_| config.to_owned()));
    let written = [
        &[("__name__", "m"), ("instance", "i"), ("job", "a"), ("region", "us")][..],
        &[("__name__", "m"), ("job", "a")],
        &[("__name__", "n")],
    ]
    .map(|labels| series(labels, vec![(now_ms(), 1.5)]));
    [ours.client(), theirs.client()].iter_mut().for_each(|client| write_to(client, &written));
    let mut told = 0;
    for labels in [
        &[("__name__", "m")][..],
        &[("__name__", "m"), ("region", "eu")],
        &[("__name__", "m"), ("region", "us")],
        &[("__name__", "m"), ("job", "other")],
        &[("__name__", "m"), ("job", "a"), ("zone", "1")],
        &[("__name__", "n"), ("zone", "2")],
        &[("region", "eu")],
    ] {
        let read = |mut client: Client| {
            let answer = client.call(&request(&[0], labels));
            assert_eq!(answer.status, 200, "{labels:?}: {}", answer.text());
            let mut samples = samples(&answer.body);
            // Ours has series of its own, and an order.
            samples.retain(|(labels, ..)| labels.contains("__name__\u{12}\u{1}"));
            samples.sort();
            samples
        };
        let [have, wanted] = [ours.client(), theirs.client()].map(read);
        assert_eq!(have, wanted, "{labels:?}");
        told += wanted.len();
        // The other type has the same series, which nobody here can unpack.
        let length = |mut client: Client| client.call(&request(&[1], labels)).body.len();
        let [have, wanted] = [ours.client(), theirs.client()].map(length);
        assert!(have == wanted || labels[0].0 != "__name__", "{labels:?}: {have} {wanted}");
    }
    assert!(told > 5, "{told}");
}

#[test]
fn odd_matchers_find_what_they_find_in_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "odd matchers of remote-read") else { return };
    let (ours, theirs) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let written = [&[("__name__", "m"), ("job", "a")][..], &[("__name__", "m"), ("job", "b")], &[("__name__", "m")]]
        .map(|labels| series(labels, vec![(now_ms(), 1.5)]));
    [ours.client(), theirs.client()].iter_mut().for_each(|client| write_to(client, &written));
    let named = (0, &b"__name__"[..], &b"m"[..]);
    let mut told = 0;
    for matchers in [
        &[][..],
        &[named],
        &[named, (0, b"job", b"")],
        &[named, (1, b"job", b"")],
        &[named, (2, b"job", b"a|")],
        &[named, (3, b"job", b"a|")],
        &[named, (2, b"job", b"")],
        &[named, (3, b"job", b"")],
        &[named, (3, b"job", b".*")],
        &[(0, b"job", b"")],
        &[(1, b"job", b"x")],
        &[(2, b"job", b".*")],
        &[(0, b"", b"")],
        &[named, (0, b"", b"x")],
        &[named, (1, b"", b"x")],
        &[(0, b"__name__", b"")],
        &[(2, b"__name__", b"(?i:M)")],
        &[named, (0, b"job", b"\xff")],
        &[named, (1, b"job", b"\xff")],
        &[named, (1, b"\xff", b"x")],
        &[named, (2, b"job", b"\xff")],
        &[named, (4, b"job", b"a")],
        &[named, (9, b"job", b"a")],
        &[(9, b"job", b"a"), named],
        &[named, (2, b"job", b"(")],
        &[named, (3, b"job", b"a{1001}")],
        &[named, (2, b"job", b"\\8")],
    ] {
        for types in [&[0][..], &[1], &[]] {
            let read = |mut client: Client| {
                let answer = client.call(&matching(types, matchers));
                let kind = answer.header("content-type").map(str::to_owned);
                if answer.status != 200 || types == [1] {
                    // Of streamed chunks it is compared whether there are any; ours has series of its own.
                    return (answer.status, kind, vec![answer.text().contains("__name__\u{12}\u{1}m").to_string()]);
                }
                let mut names: Vec<String> = samples(&answer.body).into_iter().map(|(labels, ..)| labels).collect();
                names.retain(|labels| labels.contains("__name__\u{12}\u{1}"));
                names.sort();
                (answer.status, kind, names)
            };
            let [have, wanted] = [ours.client(), theirs.client()].map(read);
            assert_eq!(have, wanted, "{types:?} {matchers:?}");
            told += wanted.2.len();
        }
    }
    assert!(told > 60, "{told}");
}

#[test]
fn what_is_no_number_keeps_its_bits() {
    let Some(program) = Program::of_prometheus("prometheus", "payloads of NaN") else { return };
    let (mut ours, theirs) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let values: Vec<f64> = [
        0x7ff8_0000_0000_0001,
        0x7ff8_0000_0000_0000,
        0xfff8_0000_0000_0000,
        0x7ff0_0000_0000_0002,
        0x7ff8_dead_beef_0001,
        0xffff_ffff_ffff_ffff,
        0x8000_0000_0000_0000,
        // These signal.
        0x7ff0_0000_0000_0001,
        0xfff4_dead_beef_0001,
    ]
    .into_iter()
    .map(f64::from_bits)
    .chain([0.0, 1.0, 2.5])
    .cycle()
    .take(400)
    .collect();
    let begin = now_ms() - 400_000;
    // Some stay as they came, others are packed; the last is of one value alone.
    let written = [("few", &values[..10]), ("many", &values), ("same", &vec![values[5]; 300])].map(|(name, values)| {
        let samples = (0i64..).zip(values).map(|(number, value)| (begin + number * 1000, *value));
        series(&[("__name__", name)], samples.collect())
    });
    // What is sent again is known here.
    [theirs.client(), ours.client(), ours.client()].iter_mut().for_each(|client| write_to(client, &written));
    for is_again in [false, true] {
        for name in ["few", "many", "same"] {
            let read = |mut client: Client| samples(&client.call(&request(&[0], &[("__name__", name)])).body);
            let [have, wanted] = [ours.client(), theirs.client()].map(read);
            assert!(have == wanted && wanted.len() >= 10, "{name} {is_again}: {have:x?}, not {wanted:x?}");
        }
        if !is_again {
            ours.restart();
        }
    }
}

#[test]
fn both_types_of_response_and_what_cannot_be_asked() {
    let server = Server::start(BINARY, "limits: {query_samples: 1000}\n");
    let begin = now_ms() - STEPS * STEP_MS;
    fill(&mut server.client(), begin);
    let request = |types: &[u8], name: &str| request(types, &[("__name__", name)]);
    let mut client = server.client();
    let answer = client.call(&request(&[1, 0], "noise"));
    let proto = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    assert!(answer.status == 200 && answer.head.contains(proto), "{} {}", answer.head, answer.text());
    assert!(!answer.body.is_empty());
    // In one message only so much; packed chunks have no such bound.
    let answer = client.call(&request(&[0], "noise"));
    assert!(answer.status == 400 && answer.text().contains("exceeded sample limit (1000)"), "{}", answer.text());
    let few = samples(&client.call(&request(&[0, 1], "rare")).body);
    assert_eq!(
        few.len(),
        (0..40)
            .filter(|number| number % 3 == 2)
            .map(|number| (0..STEPS).filter(|step| step % 37 == number).count())
            .sum::<usize>()
    );
    let order: Vec<(&str, i64)> = few
        .iter()
        .map(|(labels, at, _)| (labels.split("host-").nth(1).unwrap_or_default(), *at))
        .map(|(behind, at)| (behind.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default(), at))
        .collect();
    assert!(
        order.is_sorted() && order.iter().all(|(host, _)| !host.is_empty()),
        "series and times in order: {order:?}"
    );
    let answer = client.call(&request(&[], "nothing"));
    assert!(answer.status == 200 && answer.head.contains("application/x-protobuf"), "{}", answer.head);
    assert_eq!(snap::raw::Decoder::new().decompress_vec(&answer.body).expect("packed"), [0x0a, 0]);
    assert_eq!(client.call(&request(&[1], "nothing")).body, b"");
    for (request, why) in [
        (request(&[9], "up"), "response types"),
        (Client::request("POST", "/api/v1/read", &["Content-Encoding: snappy"], b"\x05garbage"), "snappy"),
        (Client::request("POST", "/api/v1/read", &["Content-Encoding: identity"], &[0x0a, 5]), "cut off"),
    ] {
        let answer = client.call(&request);
        assert!(answer.status == 400 && answer.text().contains(why), "{why}: {} {}", answer.status, answer.text());
    }
}

#[test]
fn a_counter_of_events_goes_on_while_it_is_quiet() {
    let Some(program) = Program::of_prometheus("prometheus", "remote-read of counted events") else { return };
    let server = Server::start(BINARY, "");
    for _ in 0..3 {
        let answer = server.client().post("/ingest", "application/json", r#"{"message":"x","service":"shop"}"#);
        assert_eq!(answer.status, 202);
    }
    server.wait_drained();
    let url = format!("http://{}/api/v1/read", server.address);
    let prometheus =
        Prometheus::start_with(&program, |_| format!("remote_read:\n  - url: {url}\n    read_recent: true\n"));
    let query = encode("log_events_total{service=\"shop\"}");
    let at = now_ms() / 1000 + 2;
    let answer = prometheus.client().get(&format!("/api/v1/query?query={query}&time={at}"));
    assert_eq!(answer["data"]["result"][0]["value"][1], "3", "{answer}");
}
