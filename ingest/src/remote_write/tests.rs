//! Messages as senders make them, and what becomes of them.

use proptest::prelude::*;
use watchfire_engine::{Engine, EngineConfig, FamilyType, TimeRange};
use watchfire_model::{Matcher, Timestamp};

use super::*;

const NOW: i64 = 1_700_000_000_000;

/// Milliseconds and values.
type Samples<'s> = &'s [(i64, f64)];

/// A field of bytes.
fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
    [varint(u64::from(number << 3 | 2)), varint(value.len() as u64), value.to_vec()].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

fn sample(at: i64, value: f64) -> Vec<u8> {
    [vec![0x09], value.to_le_bytes().to_vec(), vec![0x10], varint(at.cast_unsigned())].concat()
}

/// A series of the first version.
fn series(labels: &[(&str, &str)], samples: Samples<'_>) -> Vec<u8> {
    let labels =
        labels.iter().map(|(name, value)| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat()));
    let samples = samples.iter().map(|(at, value)| bytes(2, &sample(*at, *value)));
    bytes(1, &labels.chain(samples).collect::<Vec<_>>().concat())
}

/// A request of the second version: symbols, and series by references to them.
fn second(symbols: &[&str], all: &[(&[u64], Samples<'_>)]) -> Vec<u8> {
    let symbols = symbols.iter().map(|symbol| bytes(4, symbol.as_bytes()));
    let series = all.iter().map(|(references, samples)| {
        let references = bytes(1, &references.iter().flat_map(|number| varint(*number)).collect::<Vec<u8>>());
        let samples = samples.iter().map(|(at, value)| bytes(2, &sample(*at, *value)));
        bytes(5, &[references].into_iter().chain(samples).collect::<Vec<_>>().concat())
    });
    symbols.chain(series).collect::<Vec<_>>().concat()
}

/// What becomes of a body in an engine of its own.
fn outcome(version: Version, body: &[u8]) -> Result<Outcome, ReadError> {
    let folder = tempfile::tempdir().expect("a folder");
    let config = EngineConfig::new(folder.path().to_owned());
    let (engine, _) = Engine::open(config, Timestamp::from_millis(NOW)).expect("an empty engine opens");
    let outcome = || -> Result<Outcome, ReadError> {
        let mut grow = |_| true;
        let gathered = read(version, body, Timestamp::from_millis(NOW), Some(engine.spellings()), &mut grow)?;
        Ok(gathered.store(&engine).expect("the log can be written").expect("nothing is gone"))
    };
    let first = outcome()?;
    // The second time the series are known; what is stored is there already, and what is refused is so again.
    assert_eq!(outcome()?, first);
    Ok(first)
}

#[test]
fn samples_of_both_versions_are_taken() {
    let first = [
        series(&[("__name__", "up"), ("job", "a")], &[(NOW, 1.0), (NOW + 1, f64::NAN)]),
        series(&[("job", "b"), ("__name__", "up")], &[(NOW, 0.0)]),
        bytes(3, &[0x08, 1]),
    ];
    assert_eq!(outcome(Version::V1, &first.concat()), Ok(Outcome { samples: 3, ..Outcome::default() }));
    let second =
        second(&["", "__name__", "up", "job", "a"], &[(&[1, 2, 3, 4], &[(NOW, 1.0)]), (&[1, 2], &[(NOW, 2.0)])]);
    assert_eq!(outcome(Version::V2, &second), Ok(Outcome { samples: 2, ..Outcome::default() }));
    assert_eq!(outcome(Version::V1, &[]), Ok(Outcome::default()));
}

#[test]
fn a_series_is_not_taken_for_the_one_that_was_expected() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = EngineConfig::new(folder.path().to_owned());
    let (engine, _) = Engine::open(config, Timestamp::from_millis(NOW)).expect("an empty engine opens");
    // The labels of the second begin with those of the first.
    let names: [&[(&str, &str)]; 3] = [&[("__name__", "x")], &[("__name__", "x"), ("a", "1")], &[("__name__", "y")]];
    let mut sent = [0usize; 3];
    for (step, order) in [&[0, 2][..], &[1, 0, 2], &[0, 1, 2], &[1, 2], &[2, 2, 1], &[0, 1, 2]].into_iter().enumerate()
    {
        let body = order.iter().enumerate().map(|(place, number)| {
            sent[*number] += 1;
            series(names[*number], &[(NOW + (10 * step + place) as i64, *number as f64)])
        });
        let body = body.collect::<Vec<_>>().concat();
        let mut grow = |_| true;
        let gathered = read(Version::V1, &body, Timestamp::from_millis(NOW), Some(engine.spellings()), &mut grow)
            .expect("a message");
        let outcome = gathered.store(&engine).expect("the log can be written").expect("nothing is gone");
        assert_eq!(outcome, Outcome { samples: order.len() as u64, ..Outcome::default() });
    }
    let of = |metric| engine.select(&[Matcher::equal("__name__", metric)], TimeRange::ALWAYS).expect("selects");
    let views: Vec<_> = ["x", "y"].into_iter().flat_map(of).collect();
    assert_eq!(views.len(), names.len());
    for view in views {
        let labels: Vec<(&str, &str)> = view.labels().iter().collect();
        let number = names.iter().position(|name| *name == labels).expect("one that was sent");
        let mut samples = Vec::new();
        view.samples(TimeRange::ALWAYS.start, TimeRange::ALWAYS.end, &mut samples);
        assert_eq!(samples.len(), sent[number]);
        assert!(samples.iter().all(|sample| sample.value == number as f64), "{labels:?}: {samples:?}");
    }
}

#[test]
fn what_cannot_be_taken_is_told_and_the_rest_is_stored() {
    let good = series(&[("__name__", "up")], &[(NOW, 1.0)]);
    for (bad, reason, told) in [
        (
            series(&[("job", "a")], &[(NOW, 1.0)]),
            "invalid_labels",
            "{job=\"a\"}: it has no metric name, a label `__name__`",
        ),
        (
            series(&[("__name__", "x"), ("a", "1"), ("a", "2")], &[(NOW, 1.0)]),
            "invalid_labels",
            "x{a=\"1\", a=\"2\"}: ",
        ),
        (series(&[("__name__", "x"), ("", "1")], &[(NOW, 1.0)]), "invalid_labels", "x{=\"1\"}: "),
        (bytes(1, &bytes(1, &[0x0a, 1, 0xff])), "invalid_labels", "{}: a label is no UTF-8"),
        (series(&[("__name__", "x")], &[(NOW + 86_400_000, 1.0)]), "too_far_in_future", "x{}: too far in the future"),
        (series(&[("__name__", "x")], &[(0, 1.0)]), "too_old", "x{}: too old"),
        (
            bytes(1, &[series_labels("x"), bytes(4, &[varint(8), varint(3)].concat())].concat()),
            "invalid_histogram",
            "x{}: a histogram is none: 0 observations found in buckets, but the count is 3",
        ),
        (
            bytes(1, &[series_labels("x"), bytes(4, &native(NOW, 99, &[1]))].concat()),
            "invalid_histogram",
            "x{}: a histogram is none: the schema is 99",
        ),
        (bytes(1, &bytes(4, &native(NOW, 3, &[1]))), "invalid_labels", "{}: it has no metric name"),
    ] {
        let outcome = outcome(Version::V1, &[good.clone(), bad].concat()).expect("it is a message");
        assert_eq!((outcome.samples, &outcome.refused[..]), (1, &[(reason, 1)][..]), "{told}");
        assert!(outcome.told[0].starts_with(told), "{:?}", outcome.told);
    }
}

#[test]
fn what_collides_within_a_request_counts_as_taken() {
    let (float, other) = (series(&[("__name__", "up")], &[(NOW, 1.0)]), series(&[("__name__", "up")], &[(NOW, 2.0)]));
    let histogram = bytes(1, &[series_labels("up"), bytes(4, &native(NOW, 3, &[1]))].concat());
    for (request, samples, histograms) in [
        ([&float[..], &other], 2, 0),
        ([&float, &histogram], 1, 1),
        ([&histogram, &float], 1, 1),
        ([&float, &float], 2, 0),
    ] {
        let outcome = outcome(Version::V1, &request.concat()).expect("it is a message");
        assert_eq!((outcome.samples, outcome.histograms, &outcome.refused[..]), (samples, histograms, &[][..]));
    }
}

/// A native histogram of whole numbers, the first bucket being 0.
fn native(at: i64, schema: i64, counts: &[u64]) -> Vec<u8> {
    let zigzag = |number: i64| varint(((number << 1) ^ (number >> 63)).cast_unsigned());
    let mut before = 0;
    let deltas: Vec<u8> = counts
        .iter()
        .flat_map(|count| {
            let delta = zigzag(count.cast_signed() - before);
            before = count.cast_signed();
            delta
        })
        .collect();
    [
        [vec![0x08], varint(counts.iter().sum())].concat(),
        [vec![0x19], 4.5f64.to_le_bytes().to_vec()].concat(),
        [vec![0x20], zigzag(schema)].concat(),
        bytes(11, &[vec![0x08], zigzag(0), vec![0x10], varint(counts.len() as u64)].concat()),
        bytes(12, &deltas),
        [vec![0x78], varint(at.cast_unsigned())].concat(),
    ]
    .concat()
}

/// What becomes of a body, stored as its size demands; and how much memory was asked for. Says whether it was piece by piece.
fn stored(version: Version, body: &[u8], engine: &Engine) -> Result<(Outcome, usize, bool), ReadError> {
    let (now, mut asked) = (Timestamp::from_millis(NOW), 0);
    let mut grow = |bytes| {
        asked += bytes;
        true
    };
    let gathered = read(version, body, now, Some(engine.spellings()), &mut grow)?;
    let in_pieces = gathered.is_for_pieces();
    let outcome = if in_pieces {
        drop(gathered);
        match store_in_pieces(version, body, now, engine, &mut grow) {
            Ok(outcome) => outcome,
            Err(PiecesError::Read(error)) => return Err(error),
            Err(PiecesError::Append(error)) => panic!("{error}"),
        }
    } else {
        gathered.store(engine).expect("the log can be written").expect("nothing is gone")
    };
    Ok((outcome, asked, in_pieces))
}

/// How many samples and native histograms there are of a metric.
fn count_of(engine: &Engine, metric: &str) -> (usize, usize) {
    let matcher = Matcher::new("__name__", watchfire_model::MatchOp::Equal, metric).expect("valid");
    let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(NOW + 1_000_000));
    let (mut floats, mut natives) = (Vec::new(), Vec::new());
    for view in engine.select(&[matcher], TimeRange { start, end }).expect("selects") {
        view.samples_and_natives(start, end, &mut floats, &mut natives);
    }
    (floats.len(), natives.len())
}

#[test]
fn much_of_native_histograms_is_stored_piece_by_piece() {
    const MANY: i64 = 12_000;
    let counts: Vec<u64> = (1..=160).collect();
    let of = |metric: &str, fields: &[Vec<u8>]| [vec![series_labels(metric)], fields.to_vec()].concat().concat();
    let at = |step: i64| NOW - MANY + step;
    let native_at = |number: u8, step: i64| bytes(number, &native(at(step), 3, &counts));
    // Half of them in one series, among what is none, ends and begins again; the others in a series each.
    let mut long: Vec<Vec<u8>> = (0..MANY / 2).map(|step| native_at(4, step)).collect();
    long.insert(70, bytes(4, &native(at(0), 99, &[1])));
    long.push(bytes(2, &sample(at(-1), 1.0)));
    let short = (0..MANY / 2).map(|step| bytes(1, &of(&format!("of_{step}"), &[native_at(4, step)])));
    let nameless = bytes(1, &native_at(4, 0));
    let body = [vec![bytes(1, &of("long", &long))], short.collect(), vec![nameless]].concat().concat();
    let folder = tempfile::tempdir().expect("a folder");
    let config = EngineConfig::new(folder.path().to_owned());
    let (engine, _) = Engine::open(config, Timestamp::from_millis(NOW)).expect("an empty engine opens");
    // What is no message is refused with nothing of it stored.
    let broken = stored(Version::V1, &[&body[..], &[0x0a, 9]].concat(), &engine);
    assert!(matches!(broken, Err(ReadError::Malformed { place: Place::Request, .. })), "{broken:?}");
    assert_eq!(count_of(&engine, "long"), (0, 0));
    for _ in 0..2 {
        let (outcome, asked, in_pieces) = stored(Version::V1, &body, &engine).expect("it is a message");
        assert!(in_pieces && asked < 40 << 20, "{in_pieces}: {asked} for {} bytes", body.len());
        assert_eq!((outcome.samples, outcome.histograms), (1, MANY as u64));
        assert_eq!(outcome.refused, [("invalid_histogram", 1), ("invalid_labels", 1)]);
        assert!(outcome.told[0].starts_with("long{}: a histogram is none: the schema is 99"), "{:?}", outcome.told);
        assert_eq!(count_of(&engine, "long"), (1, MANY as usize / 2));
        assert_eq!(count_of(&engine, "of_17"), (0, 1));
    }
    // By the second version as well, with what is one of them already.
    let symbols = ["", "__name__", "long"].map(|symbol| bytes(4, symbol.as_bytes())).concat();
    let again: Vec<Vec<u8>> = (MANY / 4..MANY).map(|step| native_at(3, step)).collect();
    let second = bytes(5, &[vec![bytes(1, &[1, 2])], again].concat().concat());
    let (outcome, _, in_pieces) = stored(Version::V2, &[symbols, second].concat(), &engine).expect("it is a message");
    assert!(in_pieces);
    assert_eq!((outcome.histograms, &outcome.refused[..]), (MANY as u64 * 3 / 4, &[][..]));
    assert_eq!(count_of(&engine, "long"), (1, MANY as usize));
}

#[test]
fn native_histograms_of_both_versions_are_taken() {
    let labels = || series_labels("latency");
    let first =
        bytes(1, &[labels(), bytes(4, &native(NOW, 3, &[1, 2])), bytes(4, &native(NOW + 1, 3, &[2, 2]))].concat());
    assert_eq!(outcome(Version::V1, &first), Ok(Outcome { histograms: 2, ..Outcome::default() }));
    // Floats, with bounds of their own.
    let doubles = |numbers: &[f64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let custom = [
        [vec![0x11], 3.5f64.to_le_bytes().to_vec()].concat(),
        [vec![0x20], varint(105)].concat(),
        bytes(11, &[0x10, 2]),
        bytes(13, &doubles(&[1.5, 2.0])),
        [vec![0x78], varint(NOW.cast_unsigned())].concat(),
        [varint(16 << 3 | 2), varint(8), doubles(&[0.5])].concat(),
    ]
    .concat();
    let symbols = ["", "__name__", "latency"].map(|symbol| bytes(4, symbol.as_bytes())).concat();
    let second = bytes(5, &[bytes(1, &[1, 2]), bytes(3, &custom)].concat());
    assert_eq!(outcome(Version::V2, &[symbols, second].concat()), Ok(Outcome { histograms: 1, ..Outcome::default() }));
    // A span that reaches beyond the bounds is none, be it empty.
    let beyond = [
        [vec![0x20], varint(105)].concat(),
        bytes(11, &[0x08, 6, 0x10, 0]),
        [varint(16 << 3 | 2), varint(8), doubles(&[0.5])].concat(),
    ];
    let refused = outcome(Version::V1, &bytes(1, &[labels(), bytes(4, &beyond.concat())].concat())).expect("a message");
    assert!(refused.told[0].contains("1 bounds do not cover 3 buckets"), "{refused:?}");
    // The end of a series is a sample like any other.
    let stale =
        [[vec![0x19], 0x7ff0_0000_0000_0002u64.to_le_bytes().to_vec()].concat(), native(NOW, 3, &[])[11..].to_vec()];
    let ended = bytes(1, &[labels(), bytes(4, &stale.concat())].concat());
    assert_eq!(outcome(Version::V1, &ended), Ok(Outcome { samples: 1, ..Outcome::default() }));
}

fn series_labels(name: &str) -> Vec<u8> {
    bytes(1, &[bytes(1, b"__name__"), bytes(2, name.as_bytes())].concat())
}

/// What is known after a body of the only family whose name begins so: its name, type, help and unit.
fn family(version: Version, body: &[u8], name: &str) -> (String, FamilyType, Option<String>, Option<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = EngineConfig::new(folder.path().to_owned());
    let (engine, _) = Engine::open(config, Timestamp::from_millis(NOW)).expect("an empty engine opens");
    let mut grow = |_| true;
    let gathered = read(version, body, Timestamp::from_millis(NOW), None, &mut grow).expect("it is a message");
    gathered.store(&engine).expect("the log can be written");
    let [family] = &engine.families(name)[..] else { panic!("one family") };
    let [help, unit] = [&family.help, &family.unit].map(|text| text.as_deref().map(str::to_owned));
    (family.name.to_string(), family.declared, help, unit)
}

#[test]
fn what_is_said_about_a_family_is_kept() {
    // The name of a series, the number of its type, and what is known then of which family.
    for (name, number, family, declared) in [
        ("up", 0, "up", FamilyType::Unknown),
        ("hits_total", 1, "hits_total", FamilyType::Counter),
        ("up", 2, "up", FamilyType::Gauge),
        ("took_bucket", 3, "took", FamilyType::Histogram),
        ("took", 3, "took", FamilyType::Histogram),
        ("queue_gcount", 4, "queue", FamilyType::GaugeHistogram),
        ("pause_sum", 5, "pause", FamilyType::Summary),
        ("build", 6, "build", FamilyType::Info),
        ("state", 7, "state", FamilyType::StateSet),
        ("up", 8, "up", FamilyType::Unknown),
    ] {
        let said = (family.to_owned(), declared, Some("What it is.".to_owned()), Some("s".to_owned()));
        let metadata =
            [vec![0x08, number], bytes(2, family.as_bytes()), bytes(4, b"What it is."), bytes(5, b"s")].concat();
        let first = [series(&[("__name__", name)], &[(NOW, 1.0)]), bytes(3, &metadata)].concat();
        assert_eq!(self::family(Version::V1, &first, family), said);
        let symbols = ["", "__name__", name, "What it is.", "s"].map(|symbol| bytes(4, symbol.as_bytes())).concat();
        let about = bytes(5, &[0x08, number, 0x18, 3, 0x20, 4]);
        let parts = [bytes(1, &[1, 2]), bytes(2, &sample(NOW, 1.0)), about].concat();
        assert_eq!(self::family(Version::V2, &[symbols, bytes(5, &parts)].concat(), family), said);
    }
}

#[test]
fn what_is_said_in_a_symbol_that_is_not_there_is_told() {
    let symbols = ["", "__name__", "up"].map(|symbol| bytes(4, symbol.as_bytes())).concat();
    for (about, told) in [
        ([0x18, 3], "{}: its help refers to a symbol that is not there"),
        ([0x20, 3], "{}: its unit refers to a symbol that is not there"),
    ] {
        let outcome = outcome(Version::V2, &[symbols.clone(), bytes(5, &bytes(5, &about))].concat());
        assert_eq!(outcome.expect("it is a message").told, [told]);
    }
}

#[test]
fn a_series_of_the_second_version_that_is_none_leaves_the_others() {
    let samples: Samples<'_> = &[(NOW, 1.0)];
    for (references, told) in [
        (&[1, 9][..], "{}: a label refers to a symbol that is not there"),
        (&[1, 2, 1], "up{}: its last label has a name and no value"),
    ] {
        let body = second(&["", "__name__", "up"], &[(references, samples), (&[1, 2], samples)]);
        let outcome = outcome(Version::V2, &body).expect("it is a message");
        assert_eq!((outcome.samples, outcome.refused), (1, vec![("invalid_labels", 1)]));
        assert_eq!(outcome.told, [told]);
    }
}

#[test]
fn a_series_without_samples_is_none_of_the_engine() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = EngineConfig::new(folder.path().to_owned());
    let (engine, _) = Engine::open(config, Timestamp::from_millis(NOW)).expect("an empty engine opens");
    let exemplar = [vec![0x11], 1.0f64.to_le_bytes().to_vec(), vec![0x18], varint(NOW.cast_unsigned())].concat();
    let exemplars = bytes(1, &[series_labels("up"), bytes(3, &exemplar)].concat());
    let mut grow = |_| true;
    let gathered = read(Version::V1, &exemplars, Timestamp::from_millis(NOW), Some(engine.spellings()), &mut grow);
    let outcome = gathered.expect("it is a message").store(&engine).expect("the log can be written");
    assert_eq!(outcome, Some(Outcome::default()));
    assert_eq!(engine.stats().series, 0);
}

#[test]
fn exemplars_of_the_second_version_that_are_none_are_told_and_leave_their_series() {
    let dated = [vec![0x11], 1.0f64.to_le_bytes().to_vec(), vec![0x18], varint(NOW.cast_unsigned())].concat();
    let symbols = ["", "__name__", "up"].map(|symbol| bytes(4, symbol.as_bytes())).concat();
    for (references, told) in [
        (&[1, 2][..], None),
        (&[1, 9], Some("up{}: an exemplar is none: a label refers to a symbol that is not there")),
        (&[1], Some("up{}: an exemplar is none: its last label has a name and no value")),
    ] {
        let exemplar = bytes(4, &[bytes(1, references), dated.clone()].concat());
        let series = [bytes(1, &[1, 2]), bytes(2, &sample(NOW, 1.0)), exemplar].concat();
        let outcome = outcome(Version::V2, &[symbols.clone(), bytes(5, &series)].concat()).expect("it is a message");
        assert_eq!((outcome.samples, outcome.exemplars), (1, u64::from(told.is_none())), "{references:?}");
        let refused: Vec<_> = told.iter().map(|_| ("invalid_exemplar", 1)).collect();
        assert_eq!((outcome.refused, outcome.told), (refused, Vec::from_iter(told.map(str::to_owned))));
    }
}

#[test]
fn the_second_version_refuses_series_of_nothing_and_keeps_the_others() {
    let up: &[u64] = &[1, 2];
    let body = second(&["", "__name__", "up"], &[(&[], &[]), (up, &[(NOW, 1.0)]), (up, &[])]);
    let outcome = outcome(Version::V2, &body).expect("it is a message");
    assert_eq!((outcome.samples, outcome.refused), (1, vec![("empty_series", 2)]));
    assert_eq!(
        outcome.told,
        ["{}: it has neither samples nor histograms", "up{}: it has neither samples nor histograms"]
    );
    // The first version has none of its own to say.
    let first = [series(&[], &[]), series(&[("__name__", "up")], &[])].concat();
    assert_eq!(self::outcome(Version::V1, &first), Ok(Outcome::default()));
}

#[test]
fn many_refusals_are_counted_and_the_first_are_told() {
    let bad: Vec<u8> = (0..1000).flat_map(|_| series(&[("a", "1")], &[(NOW, 1.0)])).collect();
    let outcome = outcome(Version::V1, &bad).expect("it is a message");
    assert_eq!((outcome.refused, outcome.told.len()), (vec![("invalid_labels", 1000)], 10));
    let labels: Vec<(String, &str)> = (0..100_000).map(|n| (format!("l{n}"), "v")).collect();
    let mut labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    labels.push(("__name__", "wide"));
    let wide = self::outcome(Version::V1, &series(&labels, &[(NOW, 1.0)])).expect("it is a message");
    assert_eq!(wide.refused, [("invalid_labels", 1)]);
    assert!(wide.told[0].ends_with("it has too many labels"), "{:?}", wide.told);
}

#[test]
fn what_is_no_message_of_the_version_is_refused_whole() {
    let good = series(&[("__name__", "up")], &[(NOW, 1.0)]);
    let of_second = second(&["", "__name__", "up"], &[(&[1, 2], &[(NOW, 1.0)])]);
    for (version, body, told) in [
        (
            Version::V1,
            [good.clone(), bytes(1, &[0x0a, 9])].concat(),
            "series 1: a field is cut off, or its length is a lie",
        ),
        (Version::V1, good[..good.len() - 1].to_vec(), "the request: a field is cut off, or its length is a lie"),
        (Version::V1, vec![0x08, 1], "series 0: a field is not of the type that its message gives it"),
        (
            Version::V1,
            of_second.clone(),
            "the body is a message of remote-write 2.0, not of the version that its Content-Type names",
        ),
        (
            Version::V2,
            good,
            "the body is a message of remote-write 1.0, not of the version that its Content-Type names",
        ),
        (Version::V2, second(&["x"], &[]), "the first of `symbols` must be the empty text"),
    ] {
        assert_eq!(outcome(version, &body).map_err(|error| error.to_string()), Err(told.to_owned()));
    }
}

/// How much memory is asked for before a body is refused for it, if only so many bytes may be taken.
fn asked(version: Version, body: &[u8], most: usize) -> Result<usize, usize> {
    let mut asked = 0;
    let mut grow = |bytes| {
        asked += bytes;
        asked <= most
    };
    let read = read(version, body, Timestamp::from_millis(NOW), None, &mut grow).map(|_| ());
    match read {
        Ok(()) => Ok(asked),
        Err(error) => {
            assert_eq!(error, ReadError::NoMemory);
            Err(asked)
        }
    }
}

#[test]
fn a_small_body_that_means_much_memory_is_stopped() {
    const MOST: usize = 1 << 20;
    let empty_samples = bytes(1, &[0x12, 0].repeat(1_000_000));
    let empty_labels = bytes(1, &[0x0a, 0].repeat(1_000_000));
    let empty_series = [0x0a, 0].repeat(1_000_000);
    let empty_symbols = [0x22, 0].repeat(1_000_000);
    for (version, body) in [
        (Version::V1, empty_samples),
        (Version::V1, empty_labels),
        (Version::V1, empty_series),
        (Version::V2, empty_symbols),
    ] {
        let stopped = asked(version, &body, MOST);
        assert!(stopped.is_err_and(|asked| asked < MOST + (128 << 10)), "{stopped:?}");
    }
    // Four million buckets of one histogram are asked for at once.
    let deltas = bytes(4, &bytes(12, &vec![0; 4 << 20]));
    assert_eq!(asked(Version::V1, &bytes(1, &deltas), MOST), Err(((4 << 20) + 5 - (64 << 10)) * 64));
}

proptest! {
    #[test]
    fn no_bytes_do_harm(
        second_version in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let (version, mut body) = if second_version {
            (Version::V2, second(&["", "__name__", "up", "job", "é"], &[(&[1, 2, 3, 4], &[(NOW, 1.0), (NOW + 5, 2.0)])]))
        } else {
            (Version::V1, series(&[("__name__", "up"), ("job", "é")], &[(NOW, 1.0), (NOW + 5, 2.0)]))
        };
        body.truncate(cut.index(body.len() + 1));
        for (index, byte) in changes {
            if !body.is_empty() {
                let at = index.index(body.len());
                body[at] = byte;
            }
        }
        let mut grow = |_| true;
        let _ = read(version, &body, Timestamp::from_millis(NOW), None, &mut grow);
    }
}
