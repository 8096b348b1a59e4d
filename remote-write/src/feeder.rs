//! The thread of a destination: reads the log, sorts samples to shards, and keeps how far they have come.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender as EventSender};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use watchfire_engine::{Engine, LogTail, Step};
use watchfire_model::{LabelSet, Timestamp};

use crate::batch::{Batch, Value};
use crate::checkpoint::{Checkpoint, Found, Store};
use crate::config::{Destination, Protocol};
use crate::labels::SentLabels;
use crate::place::{Place, Settled, UnderWay, shard_of};
use crate::reading::{ReadSample, Reading};
use crate::remote_write::CountedUntil;
use crate::scale::{self, Load};
use crate::send::Sender;
use crate::shard::{Event, Shard};
use crate::stats::{Dropped, Figures};
use crate::totals::{Total, Totals};

/// How long it waits when there is nothing to do; a sample that was taken in leaves that much later.
const WAIT: Duration = Duration::from_millis(50);
/// Between two looks at figures and limits.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two checkpoints that survive a power cut.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// Between two decisions on the number of shards.
const SCALE_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for shards to end; longer than they let a request take.
const END_MAX: Duration = Duration::from_secs(10);
/// Lags are measured by so many marks.
const MARKS_MAX: usize = 4096;
/// Longer than this behind means that the shards do not suffice.
const BEHIND: Duration = Duration::from_secs(10);

/// What a feeder is made of.
pub(crate) struct Setup {
    pub(crate) engine: Arc<Engine>,
    pub(crate) destination: Arc<Destination>,
    pub(crate) external: LabelSet,
    pub(crate) sender: Arc<Sender>,
    pub(crate) store: Store,
    pub(crate) figures: Arc<Figures>,
    pub(crate) counted_until: CountedUntil,
    pub(crate) runtime: Handle,
}

/// A shard as its feeder sees it.
struct Lane {
    queue: mpsc::Sender<Batch>,
    task: JoinHandle<()>,
    open: Option<Batch>,
    /// How far each of the batches goes that are not settled.
    outstanding: VecDeque<Place>,
    /// Batches that are.
    settled: u64,
    /// Tells the shard how many of them it may send.
    released: watch::Sender<u64>,
}

/// Feeds the shards of a destination.
pub(crate) struct Feeder {
    setup: Setup,
    events: Receiver<Event>,
    told: EventSender<Event>,
    stopping: watch::Sender<bool>,
    tail: LogTail,
    reading: Reading,
    totals: Totals,
    settled: Settled,
    /// When we began.
    under_way: UnderWay,
    saved: Option<Checkpoint>,
    synced: Option<Checkpoint>,
    lanes: Vec<Lane>,
    /// Counts how often the shards were begun anew.
    generation: u64,
    /// Samples of records below this are given up.
    given_up_below: u64,
    /// So many shards there shall be, as soon as those of now are done.
    shards_wanted: usize,
    is_stopping: bool,
    /// When the log ended where.
    marks: VecDeque<(Instant, u64)>,
    looked: Instant,
    synced_at: Instant,
    scaled: Instant,
}

impl Feeder {
    /// Goes on where the destination stands, or begins with what is taken in from now on.
    pub(crate) fn new(setup: Setup, events: (EventSender<Event>, Receiver<Event>)) -> io::Result<Feeder> {
        let (queue, to) = (&setup.destination.queue, setup.destination.label());
        let shards = queue.min_shards.clamp(1, queue.max_shards.max(1));
        let (tail, settled, under_way) = match setup.store.load() {
            Found::Place(checkpoint) if checkpoint.position().next <= setup.engine.log_next() => {
                let mut settled = checkpoint.settled.clone();
                settled.reshard(shards);
                (setup.engine.follow_log(Some(checkpoint.position()))?, settled, checkpoint.under_way)
            }
            Found::Nothing => {
                let tail = setup.engine.follow_log(None)?;
                let place = Place { log: (tail.next(), 0), totals: (Timestamp::now().millis(), u64::MAX) };
                (tail, Settled::upto(place, shards), UnderWay::default())
            }
            Found::Place(_) | Found::Damaged => {
                tracing::error!(to, "remote_write does not know where it was: all that the log still holds is sent");
                let tail = setup.engine.follow_log_from_its_beginning()?;
                let place = Place { log: (tail.next(), 0), totals: (Timestamp::now().millis(), u64::MAX) };
                (tail, Settled::upto(place, shards), UnderWay::default())
            }
        };
        let every_ms = i64::try_from(setup.destination.totals_every.as_millis()).unwrap_or(i64::MAX);
        let now = Instant::now();
        let mut feeder = Feeder {
            reading: Reading::new(setup.destination.clone(), setup.external.clone()),
            totals: Totals::after(settled.frontier().totals.0, every_ms),
            setup,
            events: events.1,
            told: events.0,
            stopping: watch::Sender::new(false),
            tail,
            settled,
            under_way,
            saved: None,
            synced: None,
            lanes: Vec::new(),
            generation: 0,
            given_up_below: 0,
            shards_wanted: shards,
            is_stopping: false,
            marks: VecDeque::new(),
            looked: now,
            synced_at: now,
            scaled: now,
        };
        // A round of which a part was sent is begun again; the parts are told apart by their places.
        feeder.totals.again();
        feeder.begin_lanes(shards);
        feeder.save(true);
        Ok(feeder)
    }

    /// Feeds until it is told to stop. Blocks.
    pub(crate) fn run(mut self) {
        let mut wait = Duration::ZERO;
        loop {
            match self.events.recv_timeout(wait) {
                Ok(event) => {
                    self.hear(&event);
                    // All that is there is one checkpoint.
                    while let Ok(event) = self.events.try_recv() {
                        self.hear(&event);
                    }
                    self.save(false);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.is_stopping {
                break;
            }
            wait = match self.go_on() {
                Ok(true) => Duration::ZERO,
                Ok(false) => WAIT,
                Err(error) => {
                    let to = self.setup.destination.label();
                    tracing::error!(to, %error, "remote_write cannot read the engine's log; trying again");
                    LOOK_EVERY
                }
            };
            self.look();
            self.release();
        }
        self.end();
    }

    /// Lets shards send their next batches, once it is kept which ones those are.
    fn release(&mut self) {
        if self.lanes.iter().all(Lane::is_released) {
            return;
        }
        self.save(false);
        // Also where it could not be kept, which was told: samples that come twice are better than none.
        for lane in &self.lanes {
            lane.released.send_replace(lane.settled + u64::from(!lane.outstanding.is_empty()));
        }
    }

    /// Keeps how far it came.
    fn end(mut self) {
        self.end_lanes();
        self.save(true);
        self.tail.leave();
    }

    fn hear(&mut self, event: &Event) {
        match *event {
            Event::Settled { generation, shard, upto } if generation == self.generation => {
                if let Some(lane) = self.lanes.get_mut(shard) {
                    lane.outstanding.pop_front();
                    lane.settled += 1;
                    self.settled.reach(shard, upto);
                }
            }
            Event::Stop => self.is_stopping = true,
            Event::Settled { .. } | Event::Ended { .. } => {}
        }
    }

    /// Does a step of what is to be done; false: there is nothing, or no room for it.
    fn go_on(&mut self) -> io::Result<bool> {
        if self.shards_wanted != self.lanes.len() && !self.rescale() {
            return Ok(false);
        }
        if !self.hand_on() {
            return Ok(false);
        }
        let now = Timestamp::now().millis();
        if self.totals.begin(&self.setup.engine, &self.setup.counted_until, now) {
            return Ok(true);
        }
        self.reading.begin(self.tail.next());
        match self.tail.step(&mut self.reading)? {
            Step::Nothing => Ok(false),
            Step::Record(record) => {
                // Those before were read for their names only.
                if record >= self.settled.frontier().log.0 {
                    self.setup.figures.give_up(Dropped::NativeHistogram, self.reading.natives);
                }
                let nameless = self.reading.take_nameless();
                if !nameless.is_empty() {
                    self.tail.name(&nameless, &mut self.reading);
                }
                Ok(true)
            }
            Step::Lost(records) => {
                self.setup.figures.lost_records.fetch_add(records, Ordering::Relaxed);
                let to = self.setup.destination.label();
                tracing::error!(
                    to,
                    records,
                    "remote_write cannot send records of the engine's log: they are damaged or gone"
                );
                Ok(true)
            }
        }
    }

    /// Puts what was read into batches; false if a shard has no room.
    fn hand_on(&mut self) -> bool {
        while let Some(sample) = self.reading.samples.front().cloned() {
            if !self.hand_on_sample(sample) {
                return false;
            }
            self.reading.samples.pop_front();
        }
        while let Some(total) = self.totals.waiting.front() {
            let (series, at) = (total.series, self.totals.at);
            let shard = shard_of(series, self.lanes.len());
            if !self.settled.has_total(series, at) {
                if !self.has_room(shard, self.under_way.of_total(series, at)) {
                    return false;
                }
                if let Some(total) = self.totals.waiting.pop_front() {
                    self.hand_on_total(shard, &total);
                }
            } else {
                self.totals.waiting.pop_front();
            }
        }
        true
    }

    fn hand_on_sample(&mut self, sample: ReadSample) -> bool {
        let place = (self.reading.record, sample.index);
        if self.settled.has_sample(sample.series, place) {
            return true;
        }
        let figures = &self.setup.figures;
        figures.highest_read_ms.fetch_max(sample.at, Ordering::Relaxed);
        let shard = shard_of(sample.series, self.lanes.len());
        if self.reading.record < self.given_up_below {
            figures.give_up(Dropped::HoldLimit, 1);
            // Nothing waits in a shard before what is given up is passed.
            self.settled.reach(shard, Place { log: (place.0, place.1 + 1), ..Place::default() });
            return true;
        }
        let Some(named) = self.reading.named(sample.series) else {
            figures.give_up(Dropped::Nameless, 1);
            return true;
        };
        let kind = named.kind;
        let Some(labels) = named.labels.clone() else {
            figures.give_up(Dropped::Relabelled, 1);
            return true;
        };
        if self.setup.destination.protocol == Protocol::V2
            && matches!(&sample.value, Value::Exemplar(sent) if sent.beside.is_none())
        {
            figures.give_up(Dropped::ExemplarAlone, 1);
            return true;
        }
        let under_way = self.under_way.of_sample(sample.series, place);
        if !self.has_room(shard, under_way) {
            return false;
        }
        let upto = Place { log: (place.0, place.1 + 1), totals: self.totals.place() };
        self.push((shard, under_way), upto, |batch| {
            batch.push((sample.series, 0), &labels, kind, sample.at, sample.value.clone())
        });
        true
    }

    fn hand_on_total(&mut self, shard: usize, total: &Total) {
        let upto = Place { log: self.read_upto(), totals: (self.totals.at, total.series) };
        let external = self.setup.external.clone();
        let destination = self.setup.destination.clone();
        let under_way = self.under_way.of_total(total.series, self.totals.at);
        let mut relabelled = 0;
        self.push((shard, under_way), upto, |batch| {
            for (part, (labels, samples)) in (0u8..).zip(&total.parts) {
                match SentLabels::new(labels.iter(), &external, &destination.relabel) {
                    Some(labels) => {
                        for (at, value) in samples {
                            batch.push((total.series, part), &labels, total.kind, *at, Value::Float(*value));
                        }
                    }
                    None => relabelled += samples.len() as u64,
                }
            }
        });
        self.setup.figures.give_up(Dropped::Relabelled, relabelled);
        self.setup.figures.highest_read_ms.fetch_max(self.totals.at, Ordering::Relaxed);
    }

    /// Everything of the log before this place is handed on.
    fn read_upto(&self) -> (u64, u32) {
        match self.reading.samples.front() {
            Some(sample) => (self.reading.record, sample.index),
            None => (self.tail.next(), 0),
        }
    }

    fn push(&mut self, (shard, under_way): (usize, usize), upto: Place, fill: impl FnOnce(&mut Batch)) {
        let Some(lane) = self.lanes.get_mut(shard) else { return };
        let is_repeated = under_way < self.under_way.sets().len();
        let batch = lane.open.get_or_insert_with(|| Batch::new(Instant::now(), under_way, is_repeated));
        let before = batch.samples();
        fill(batch);
        batch.upto.reach(upto);
        self.setup.figures.pending.fetch_add((batch.samples() - before) as u64, Ordering::Relaxed);
        if batch.samples() == 0 {
            lane.open = None;
        }
    }

    /// Whether a shard can take another sample, of one of the requests that were under way or of none; a batch that is full or
    /// of another one goes off for it.
    fn has_room(&mut self, shard: usize, under_way: usize) -> bool {
        let full = self.setup.destination.queue.max_samples_per_send;
        let Some(lane) = self.lanes.get_mut(shard) else { return false };
        let takes = |batch: &Batch| batch.samples() < full && batch.under_way == under_way;
        lane.open.as_ref().is_none_or(takes) || lane.send()
    }

    /// What is due by time: batches, checkpoints, figures, limits.
    fn look(&mut self) {
        let deadline = self.setup.destination.queue.batch_send_deadline;
        let full = self.setup.destination.queue.max_samples_per_send;
        for lane in &mut self.lanes {
            let is_due = |batch: &Batch| batch.samples() >= full || batch.begun.elapsed() >= deadline;
            if lane.open.as_ref().is_some_and(is_due) {
                lane.send();
            }
        }
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        self.save(self.synced_at.elapsed() >= SYNC_EVERY);
        self.measure();
        self.keep_to_limit();
        if self.scaled.elapsed() >= SCALE_EVERY {
            self.decide_shards();
        }
    }

    /// Shards that have nothing to do have settled all that was read.
    fn settle_idle(&mut self) {
        let place = Place { log: self.read_upto(), totals: self.totals.place() };
        for (shard, lane) in self.lanes.iter().enumerate() {
            if lane.outstanding.is_empty() && lane.open.is_none() {
                self.settled.reach(shard, place);
            }
        }
    }

    /// By shard, how far the request goes that may be under way; what is settled, if there is none.
    fn sending(&self) -> Vec<Place> {
        let lanes = self.lanes.iter().zip(self.settled.shards());
        lanes.map(|(lane, settled)| lane.outstanding.front().copied().unwrap_or(*settled)).collect()
    }

    /// Keeps how far it has come, if it has come further.
    fn save(&mut self, synced: bool) {
        self.settle_idle();
        self.settled.forget();
        let position = self.tail.position(self.settled.frontier().log.0);
        let under_way = self.under_way.with(self.sending(), &self.settled);
        let checkpoint = Checkpoint { names_from: position.names_from, settled: self.settled.clone(), under_way };
        let kept = if synced { &self.synced } else { &self.saved };
        if synced {
            self.synced_at = Instant::now();
        }
        if kept.as_ref() == Some(&checkpoint) {
            return;
        }
        if let Err(error) = self.setup.store.save(&checkpoint, synced) {
            let to = self.setup.destination.label();
            tracing::error!(to, %error, "remote_write cannot keep how far it is; a restart would send samples again");
            return;
        }
        if synced {
            self.tail.release(position);
            self.synced = Some(checkpoint.clone());
        }
        self.saved = Some(checkpoint);
    }

    fn measure(&mut self) {
        let (end, now) = (self.setup.engine.log_end(), Instant::now());
        let settled = self.settled.frontier().log.0;
        while self.marks.front().is_some_and(|(_, mark)| *mark <= settled) {
            self.marks.pop_front();
        }
        if self.marks.back().map_or(settled, |(_, mark)| *mark) < end {
            self.marks.push_back((now, end));
        }
        if self.marks.len() > MARKS_MAX {
            let mut number = 0;
            self.marks.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        let figures = &self.setup.figures;
        figures.lag_ms.store(self.lag().as_millis() as u64, Ordering::Relaxed);
        let held = self.synced.as_ref().map_or(settled, |checkpoint| checkpoint.names_from);
        figures.held_bytes.store(self.setup.engine.log_bytes_from(held).unwrap_or(0), Ordering::Relaxed);
    }

    fn lag(&self) -> Duration {
        self.marks.front().map_or(Duration::ZERO, |(at, _)| at.elapsed())
    }

    /// Gives the oldest samples up when the log is longer than it may be kept for them.
    fn keep_to_limit(&mut self) {
        let within = match self.setup.engine.log_within(self.setup.destination.hold_limit_bytes) {
            Ok(within) => within,
            Err(error) => return tracing::warn!(%error, "the engine's log cannot be measured"),
        };
        if self.settled.frontier().log.0 >= within || self.given_up_below >= within {
            return;
        }
        let to = self.setup.destination.label();
        tracing::error!(
            to,
            "remote_write gives up the oldest samples: the log that waits for the receiver has reached `hold_limit`"
        );
        // What waits in the shards is of that part of the log.
        self.end_lanes();
        let position = self.tail.position(self.settled.frontier().log.0);
        match self.setup.engine.follow_log(Some(position)) {
            Ok(tail) => self.tail = tail,
            Err(error) => return tracing::error!(to, %error, "remote_write cannot read the engine's log again"),
        }
        self.given_up_below = within;
        self.reading.clear();
        self.totals.waiting.clear();
        self.totals = Totals::after(self.settled.frontier().totals.0, self.totals.every_ms());
        self.totals.again();
        self.begin_lanes(self.shards_wanted);
    }

    fn decide_shards(&mut self) {
        let period = std::mem::replace(&mut self.scaled, Instant::now()).elapsed();
        let busy_us = self.setup.figures.busy_us.swap(0, Ordering::Relaxed) as f64;
        let shards = self.lanes.len();
        let busy = busy_us / (period.as_micros() as f64 * shards as f64);
        let behind = self.lag() > BEHIND + self.setup.destination.queue.batch_send_deadline;
        let failing = self.setup.figures.failing.load(Ordering::Relaxed);
        let queue = &self.setup.destination.queue;
        let load = Load { shards, busy, behind, failing };
        self.shards_wanted = scale::shards(load, queue.min_shards, queue.max_shards);
    }

    /// Once all that was handed on is settled, there are as many shards as there shall be. Says whether it is.
    fn rescale(&mut self) -> bool {
        for lane in &mut self.lanes {
            if lane.open.is_some() {
                lane.send();
            }
        }
        if self.lanes.iter().any(|lane| !lane.outstanding.is_empty() || lane.open.is_some()) {
            return false;
        }
        self.settle_idle();
        self.settled.reshard(self.shards_wanted);
        self.end_lanes();
        self.begin_lanes(self.shards_wanted);
        true
    }

    /// Lets the requests under way end, and hears what became of them. All else that waits in the shards is let go of.
    fn end_lanes(&mut self) {
        self.stopping.send_replace(true);
        let mut running = self.lanes.len();
        let deadline = Instant::now() + END_MAX;
        while running > 0
            && let Ok(event) = self.events.recv_deadline(deadline)
        {
            running -= usize::from(matches!(event, Event::Ended { generation } if generation == self.generation));
            self.hear(&event);
        }
        // Nobody waits any longer for requests that are not answered by now.
        self.under_way = self.under_way.with(self.sending(), &self.settled);
        for lane in self.lanes.drain(..) {
            lane.task.abort();
        }
        self.setup.figures.pending.store(0, Ordering::Relaxed);
    }

    fn begin_lanes(&mut self, shards: usize) {
        self.generation += 1;
        self.stopping = watch::Sender::new(false);
        let queue = &self.setup.destination.queue;
        let waiting = (queue.capacity / queue.max_samples_per_send.max(1)).max(1);
        for number in 0..shards {
            let (queue, batches) = mpsc::channel(waiting);
            let released = watch::Sender::new(0);
            let shard = Shard {
                generation: self.generation,
                number,
                destination: self.setup.destination.clone(),
                sender: self.setup.sender.clone(),
                engine: self.setup.engine.clone(),
                figures: self.setup.figures.clone(),
                events: self.told.clone(),
                stopping: self.stopping.subscribe(),
                released: released.subscribe(),
            };
            let task = self.setup.runtime.spawn(shard.run(batches));
            self.lanes.push(Lane { queue, task, open: None, outstanding: VecDeque::new(), settled: 0, released });
        }
        self.setup.figures.shards.store(shards as u64, Ordering::Relaxed);
    }
}

impl Lane {
    /// Whether its shard need not wait for us.
    fn is_released(&self) -> bool {
        self.outstanding.is_empty() || *self.released.borrow() > self.settled
    }

    /// Sends the batch off; false if there is no room for it yet.
    fn send(&mut self) -> bool {
        let Some(batch) = self.open.take() else { return true };
        let upto = batch.upto;
        match self.queue.try_send(batch) {
            Ok(()) => {
                self.outstanding.push_back(upto);
                true
            }
            Err(mpsc::error::TrySendError::Full(batch) | mpsc::error::TrySendError::Closed(batch)) => {
                self.open = Some(batch);
                false
            }
        }
    }
}
