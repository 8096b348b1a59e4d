//! Runs scripts in Prometheus' own script language, extended by a way to load counted events and observations.
//!
//! ```text
//! load 1m                                   samples each minute from time 0: `1 2 _ stale 3+2x5 4x2 _x3`
//!   name{label="value"} VALUES
//! increments 10s                            events counted at each time
//! observations 1s                           values observed at each time
//! clear                                     a new, empty engine
//! eval instant at 5m QUERY                  then the expected series: `{label="value"} 5`, or just `5`
//! eval range from 0 to 1h step 5m QUERY     then `{label="value"} VALUES`
//!   expect fail | expect fail msg: TEXT | expect ordered | expect promql TEXT | expect within SHARE | expect no_warn | expect no_info
//! ```

mod series;

use std::sync::Arc;

use series::Line;
use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::time::parse_duration_ms;
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Asked, Limits, LocalMetrics, MetricsRead, RangeSteps, parse};

/// A query of a script, when it is asked, and what is expected.
struct Eval<'s> {
    query: &'s str,
    start: i64,
    /// End and step of a range.
    range: Option<(i64, i64)>,
    expected: Vec<Line>,
    fails: Option<Option<&'s str>>,
    is_ordered: bool,
    promql: Option<&'s str>,
    /// By which share a value may be off.
    tolerance: f64,
}

/// What became of a script's evaluations.
#[derive(Default)]
pub struct Outcome {
    /// Evaluations that gave what was expected.
    pub held: usize,
    /// Evaluations of what is refused by name because it is not here yet.
    pub not_yet: usize,
    /// What went wrong: file, line and the difference.
    pub failures: Vec<String>,
}

/// Runs a script to its end.
pub fn run(name: &str, text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let mut machine = Machine::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line)).peekable();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut body = Vec::new();
        while let Some((number, line)) = lines.next_if(|(_, line)| line.starts_with([' ', '\t'])) {
            if !line.trim_start().starts_with('#') && !line.trim().is_empty() {
                body.push((number, line.trim()));
            }
        }
        let (command, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let done = match command {
            "clear" => {
                machine = Machine::new();
                Ok(())
            }
            "load" => machine.load(SeriesKind::Samples(MetricType::Untyped), rest, &body),
            "increments" => machine.load(SeriesKind::Increments, rest, &body),
            "observations" => machine.load(SeriesKind::Distribution, rest, &body),
            "eval" | "eval_fail" | "eval_ordered" => evaluate(&machine, command, rest.trim_start(), &body),
            _ => Err("unknown command".to_owned()),
        };
        match done {
            Ok(()) if command.starts_with("eval") => outcome.held += 1,
            Ok(()) => {}
            Err(error) if error.contains(NOT_YET) => outcome.not_yet += 1,
            Err(error) => outcome.failures.push(format!("{name}:{number}: {error}\n  {line}")),
        }
    }
    outcome
}

const NOT_YET: &str = "is not in this version yet";

fn evaluate(machine: &Machine, command: &str, rest: &str, body: &[(usize, &str)]) -> Result<(), String> {
    let mut eval = head(rest)?;
    eval.is_ordered = command == "eval_ordered";
    eval.fails = (command == "eval_fail").then_some(None);
    for (number, line) in body {
        expectation(&mut eval, line).map_err(|error| format!("line {number}: {error}"))?;
    }
    machine.check(&eval)
}

fn millis(text: &str) -> Result<i64, String> {
    let seconds = text.parse::<f64>().ok().map(|seconds| (seconds * 1000.0) as i64);
    seconds.or_else(|| parse_duration_ms(text)).ok_or_else(|| format!("`{text}` is no time"))
}

fn head(rest: &str) -> Result<Eval<'_>, String> {
    let mut eval = Eval {
        query: "",
        start: 0,
        range: None,
        expected: Vec::new(),
        fails: None,
        is_ordered: false,
        promql: None,
        tolerance: 1e-6,
    };
    if let Some(rest) = rest.strip_prefix("instant at ") {
        let (time, query) = rest.split_once(' ').ok_or("no query")?;
        eval.start = millis(time)?;
        eval.query = query;
        return Ok(eval);
    }
    let words: Vec<&str> = rest.splitn(8, ' ').collect();
    let ["range", "from", start, "to", end, "step", step, query] = words[..] else {
        return Err("expected `instant at T QUERY` or `range from T to T step D QUERY`".to_owned());
    };
    eval.start = millis(start)?;
    eval.range = Some((millis(end)?, millis(step)?));
    eval.query = query;
    Ok(eval)
}

fn expectation<'s>(eval: &mut Eval<'s>, line: &'s str) -> Result<(), String> {
    let Some(what) = line.strip_prefix("expect ") else {
        eval.expected.push(series::parse_line(line)?);
        return Ok(());
    };
    if let Some(message) = what.strip_prefix("fail msg: ") {
        eval.fails = Some(Some(message));
    } else if let Some(promql) = what.strip_prefix("promql ") {
        eval.promql = Some(promql);
    } else if let Some(share) = what.strip_prefix("within ") {
        eval.tolerance = share.parse().map_err(|_| "expected a share")?;
    } else {
        match what {
            "fail" => eval.fails = Some(None),
            "ordered" => eval.is_ordered = true,
            // We give no annotations.
            "no_warn" | "no_info" => {}
            _ => return Err("unknown expectation".to_owned()),
        }
    }
    Ok(())
}

struct Machine {
    engine: Arc<Engine>,
    _dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut config = EngineConfig::new(dir.path());
        // Scripts live around 1970 and load in any order.
        config.out_of_order_ms = i64::MAX / 4;
        config.future_ms = i64::MAX / 4;
        config.retention_ms = i64::MAX / 4;
        config.memory_ms = i64::MAX / 4;
        let (engine, _) = Engine::open(config, Timestamp::from_millis(0)).expect("an empty engine opens");
        Machine { engine: Arc::new(engine), _dir: dir }
    }

    fn load(&self, kind: SeriesKind, step: &str, body: &[(usize, &str)]) -> Result<(), String> {
        let step = millis(step)?;
        let mut batch = SampleBatch::new(Timestamp::from_millis(0));
        for (_, line) in body {
            let Line { labels, values } = series::parse_line(line)?;
            let series = batch.series(kind, &labels);
            for (index, value) in values.into_iter().enumerate() {
                if let Some(value) = value {
                    batch.push(series, Timestamp::from_millis(step * index as i64), value);
                }
            }
        }
        let report = self.engine.append_samples(&batch).map_err(|error| error.to_string())?;
        if report.accepted as usize == batch.len() { Ok(()) } else { Err(format!("not all was taken: {report:?}")) }
    }

    fn check(&self, eval: &Eval) -> Result<(), String> {
        let metrics = LocalMetrics::new(self.engine.clone());
        let limits = Limits::default();
        let start = Timestamp::from_millis(eval.start);
        let query = match (parse(eval.query), eval.fails) {
            (Ok(query), _) => query,
            (Err(error), None) => return Err(error.render(eval.query)),
            (Err(error), Some(message)) => return fails_as(&error.message, message),
        };
        if let Some(promql) = eval.promql {
            let asked = match eval.range {
                None => Asked::Instant(start),
                Some((end, step_ms)) => Asked::Range(RangeSteps { start, end: Timestamp::from_millis(end), step_ms }),
            };
            let found = metrics.promql(&query, asked);
            if found.as_deref() != Some(promql) && !(promql == "none" && found.is_none()) {
                return Err(format!("the equivalent is {found:?}"));
            }
        }
        let answer = match eval.range {
            None => metrics
                .instant(&query, start, &limits)
                .map(|rows| rows.into_iter().map(|(labels, value)| (labels, vec![Some(value)])).collect::<Vec<_>>()),
            Some((end, step_ms)) => {
                let steps = RangeSteps { start, end: Timestamp::from_millis(end), step_ms };
                let on_grid = |points: Vec<(Timestamp, f64)>| {
                    let mut values = vec![None; ((end - eval.start) / step_ms) as usize + 1];
                    for (at, value) in points {
                        values[(at.since(start) / step_ms) as usize] = Some(value);
                    }
                    values
                };
                let rows = metrics.range(&query, steps, &limits);
                rows.map(|rows| rows.into_iter().map(|(labels, points)| (labels, on_grid(points))).collect())
            }
        };
        match (answer, eval.fails) {
            (Ok(rows), None) => compare(&rows, eval),
            (Ok(rows), Some(_)) => Err(format!("expected a failure, got {rows:?}")),
            (Err(error), None) => Err(format!("failed: {error}")),
            (Err(error), Some(message)) => fails_as(&error.to_string(), message),
        }
    }
}

fn fails_as(found: &str, wanted: Option<&str>) -> Result<(), String> {
    match wanted {
        Some(wanted) if !found.contains(wanted) => Err(format!("failed otherwise: {found}")),
        _ => Ok(()),
    }
}

type Row = (LabelSet, Vec<Option<f64>>);

fn compare(rows: &[Row], eval: &Eval) -> Result<(), String> {
    let shown = || {
        let row = |(labels, values): &Row| format!("  {labels} {}", series::print_values(values));
        format!("got\n{}", rows.iter().map(row).collect::<Vec<_>>().join("\n"))
    };
    if rows.len() != eval.expected.len() {
        return Err(format!("{} series expected, {}", eval.expected.len(), shown()));
    }
    for (at, expected) in eval.expected.iter().enumerate() {
        let row =
            if eval.is_ordered { rows.get(at) } else { rows.iter().find(|(labels, _)| *labels == expected.labels) };
        let Some((labels, values)) = row else { return Err(format!("{} is missing, {}", expected.labels, shown())) };
        let steps = expected.values.len().max(values.len());
        let same = |at: usize| {
            series::same(values.get(at).copied().flatten(), expected.values.get(at).copied().flatten(), eval.tolerance)
        };
        if *labels != expected.labels || !(0..steps).all(same) {
            return Err(format!(
                "{} {} expected, {}",
                expected.labels,
                series::print_values(&expected.values),
                shown()
            ));
        }
    }
    Ok(())
}
