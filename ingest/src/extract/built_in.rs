//! What every record is counted in: events, bytes, errors, and how long requests took.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::record::{Column, Core, RecordError, RecordReader, Root, ValueRef};
use watchfire_model::text::cut;
use watchfire_model::{LabelSet, Level, RecordView};

use super::rule::number_of;
use super::series::{SeriesId, SeriesTable};
use super::{BatchReport, Collected, Moment, normalise_route};

/// Events by service and level.
const EVENTS: &str = "log_events_total";
/// Bytes as received, by service.
const BYTES: &str = "log_bytes_total";
/// Events of level error and above, by service.
const ERRORS: &str = "error_count";
/// The counters among them.
pub(super) const COUNTERS: [&str; 3] = [EVENTS, BYTES, ERRORS];
/// How long requests took, milliseconds, by service and route.
pub const REQUEST_DURATION: &str = "request_duration_ms";

/// Services, and so series of a metric, that logs can bring about.
const SERVICES_MAX: u32 = 10_000;
/// Routes of a service.
const ROUTES_MAX: usize = 200;
/// Longest text from a record that becomes a label, bytes.
const LABEL_BYTES_MAX: usize = 256;
/// The route of all beyond [`ROUTES_MAX`].
const OVERFLOW_ROUTE: &str = watchfire_engine::OVERFLOW;

/// What a field says of a request; of several the one with the lowest rank counts.
#[derive(Clone, Copy)]
enum Said {
    /// How long it took, in units of so many milliseconds.
    Duration { rank: u8, millis: f64 },
    /// Which way it went; all but rank 0 are paths.
    Route { rank: u8 },
}

/// What the field of this name says.
#[inline]
fn said_by(name: &str) -> Option<Said> {
    let (duration, route) = (|rank, millis| Said::Duration { rank, millis }, |rank| Said::Route { rank });
    Some(match name {
        "duration_ms" => duration(0, 1.0),
        "latency_ms" => duration(1, 1.0),
        "response_time_ms" => duration(2, 1.0),
        "elapsed_ms" => duration(3, 1.0),
        "request_time" => duration(4, 1000.0),
        "duration_s" => duration(5, 1000.0),
        "route" => route(0),
        "path" => route(1),
        "uri" => route(2),
        "url" => route(3),
        _ => return None,
    })
}

/// Most series of each of these metrics.
pub(super) fn max_series() -> HashMap<String, u32> {
    HashMap::from([
        (EVENTS.to_owned(), SERVICES_MAX * Level::ALL.len() as u32),
        (BYTES.to_owned(), SERVICES_MAX),
        (ERRORS.to_owned(), SERVICES_MAX),
        (REQUEST_DURATION.to_owned(), SERVICES_MAX * 2),
    ])
}

/// What a record tells of itself.
#[derive(Clone, Copy, Default)]
pub(super) struct Told<'r> {
    service: &'r str,
    /// Rank, unit and value.
    duration: Option<(u8, f64, ValueRef<'r>)>,
    /// Rank, and the text.
    route: Option<(u8, &'r str)>,
}

impl<'r> Told<'r> {
    /// Reads and checks the entries of a record.
    #[inline]
    pub(super) fn read(reader: &mut RecordReader<'r>) -> Result<Told<'r>, RecordError> {
        let mut told = Told::default();
        while let Some((column, value)) = reader.next_entry()? {
            match (column, value) {
                (Column::Core(Core::Service), ValueRef::Text(text)) => told.service = text,
                (Column::Leaf(Root::Fields | Root::PerformanceMetrics, name), value) => match (said_by(name), value) {
                    // Null says that nothing was measured.
                    (Some(Said::Duration { rank, millis }), value)
                        if value != ValueRef::Null && told.duration.is_none_or(|(have, ..)| rank < have) =>
                    {
                        told.duration = Some((rank, millis, value));
                    }
                    (Some(Said::Route { rank }), ValueRef::Text(text))
                        if told.route.is_none_or(|(have, _)| rank < have) =>
                    {
                        told.route = Some((rank, text));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(told)
    }
}

/// The series of one service.
#[derive(Default)]
struct Service {
    events: [Option<SeriesId>; Level::ALL.len()],
    bytes: Option<SeriesId>,
    errors: Option<SeriesId>,
    routes: HashMap<String, SeriesId, FixedState>,
}

/// See the module.
#[derive(Default)]
pub(super) struct BuiltIn {
    services: hashbrown::HashMap<String, Service, foldhash::fast::RandomState>,
    route: String,
}

impl BuiltIn {
    pub(super) fn forget_series(&mut self) {
        self.services.clear();
    }

    pub(super) fn know_route(&mut self, service: &str, route: &str, table: &mut SeriesTable) {
        let entry = self.services.entry_ref(service).or_default();
        if !entry.routes.contains_key(route) {
            let series = table.add(labels(REQUEST_DURATION, service, "route", route));
            entry.routes.insert(route.to_owned(), series);
        }
    }

    /// Counts a record.
    pub(super) fn record(
        &mut self,
        view: &RecordView<'_>,
        told: Told<'_>,
        moment: Moment,
        collected: &mut Collected,
        report: &mut BatchReport,
    ) {
        let Told { service, duration, route } = told;
        let service = label_text(service);
        let level = view.level();
        let entry = self.services.entry_ref(service).or_default();
        let Collected { table, .. } = collected;
        let events = *entry.events[level as usize]
            .get_or_insert_with(|| table.add(labels(EVENTS, service, "level", level.as_str())));
        let bytes = *entry.bytes.get_or_insert_with(|| table.add(labels(BYTES, service, "", "")));
        table.count(events, moment.at, moment.late, 1.0);
        table.count(bytes, moment.at, moment.late, f64::from(view.received_bytes()));
        if level.is_error() {
            let errors = *entry.errors.get_or_insert_with(|| table.add(labels(ERRORS, service, "", "")));
            table.count(errors, moment.at, moment.late, 1.0);
        }
        let Some((_, unit, value)) = duration else { return };
        let Some(millis) = number_of(value).map(|number| number * unit).filter(|millis| *millis >= 0.0) else {
            report.unusable += 1;
            return;
        };
        match route {
            None => self.route.clear(),
            Some((0, route)) => {
                self.route.clear();
                self.route.push_str(label_text(route));
            }
            Some((_, path)) => normalise_route(path, &mut self.route),
        }
        let series = match entry.routes.get(&self.route) {
            Some(series) => *series,
            None => {
                if entry.routes.len() >= ROUTES_MAX {
                    self.route.clear();
                    self.route.push_str(OVERFLOW_ROUTE);
                }
                let table = &mut collected.table;
                *entry
                    .routes
                    .entry(self.route.clone())
                    .or_insert_with(|| table.add(labels(REQUEST_DURATION, service, "route", &self.route)))
            }
        };
        collected.observe(series, moment, millis);
    }
}

fn labels(metric: &str, service: &str, name: &str, value: &str) -> LabelSet {
    let pairs = [(METRIC_NAME, metric), ("service", service), (name, value)];
    // The names are different constants; without a third label its name is empty, and so it is left out.
    LabelSet::from_pairs(pairs.into_iter().filter(|(name, _)| !name.is_empty())).unwrap_or_default()
}

/// A text short enough for a label.
pub(super) fn label_text(text: &str) -> &str {
    cut(text, LABEL_BYTES_MAX)
}
