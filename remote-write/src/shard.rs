//! A shard: one batch after another is sent until it is settled.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender as EventSender;
use tokio::sync::{mpsc, watch};
use watchfire_engine::Engine;
use watchfire_model::Timestamp;

use crate::batch::Batch;
use crate::config::{Destination, Protocol};
use crate::encode;
use crate::place::Place;
use crate::send::{Sender, Sent};
use crate::stats::{Dropped, Figures};

/// How long a request may still take when we stop.
const STOP_MAX: Duration = Duration::from_secs(5);
/// The same trouble is told again after this time.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// So often a batch is parted at most: by each the place of what is bad in it is known better.
const PARTINGS_MAX: usize = 127;

/// What became of a batch.
enum Answered {
    /// It was taken, or nothing of it is left.
    Taken,
    /// We stop, and it is not settled.
    Stopped,
    Refused(Refused),
}

/// A batch that was refused but for so many of its samples.
struct Refused {
    batch: Batch,
    why: String,
    written: usize,
    parts_may_do: bool,
}

/// What a feeder hears.
pub(crate) enum Event {
    /// A shard of a generation has settled everything before a place.
    Settled { generation: u64, shard: usize, upto: Place },
    /// A shard of a generation has ended.
    Ended { generation: u64 },
    /// It shall stop.
    Stop,
}

/// What a shard needs.
pub(crate) struct Shard {
    pub(crate) generation: u64,
    pub(crate) number: usize,
    pub(crate) destination: Arc<Destination>,
    pub(crate) sender: Arc<Sender>,
    /// Knows what is said of metrics.
    pub(crate) engine: Arc<Engine>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) events: EventSender<Event>,
    pub(crate) stopping: watch::Receiver<bool>,
    /// So many of its batches may be sent: the files of the destination say how far each goes, and that those before it are
    /// settled.
    pub(crate) released: watch::Receiver<u64>,
}

impl Shard {
    /// Sends what comes until nobody sends more, or we stop.
    pub(crate) async fn run(mut self, mut batches: mpsc::Receiver<Batch>) {
        let mut begun = 0;
        while let Some(batch) = tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
            batch = batches.recv() => batch,
        } {
            begun += 1;
            // Were it sent before that is kept, nobody could tell after a kill what may have been taken.
            let is_released = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => false,
                released = self.released.wait_for(|released| *released >= begun) => released.is_ok(),
            };
            let (samples, upto) = (batch.samples() as u64, batch.upto);
            let is_settled = is_released && self.settle(batch).await;
            self.figures.pending.fetch_sub(samples, Ordering::Relaxed);
            if !is_settled {
                break;
            }
            // A feeder that does not hear has ended.
            let _ = self.events.send(Event::Settled { generation: self.generation, shard: self.number, upto });
        }
        let _ = self.events.send(Event::Ended { generation: self.generation });
    }

    /// Sends a batch, and in parts if it is refused as a whole, the older ones first. False: we stop, and it is not settled.
    async fn settle(&mut self, batch: Batch) -> bool {
        let mut parts = vec![(batch, PARTINGS_MAX)];
        while let Some((batch, partings)) = parts.pop() {
            let Refused { batch, why, written, parts_may_do } = match self.send_until_answered(batch).await {
                Answered::Taken => continue,
                Answered::Stopped => return false,
                Answered::Refused(refused) => refused,
            };
            if parts_may_do && written == 0 && partings > 0 && batch.samples() > 1 {
                let (older, newer) = batch.parted();
                // What is bad all through leaves to the others what they may need.
                let of_each = (partings - 1) / 2;
                parts.extend([(newer, of_each), (older, of_each)]);
            } else {
                self.refused(&batch, &why, written);
            }
        }
        true
    }

    /// Sends a batch again and again.
    async fn send_until_answered(&mut self, mut batch: Batch) -> Answered {
        let (mut pause, mut told) = (self.destination.queue.min_backoff, None::<Instant>);
        let mut packed = Vec::new();
        loop {
            if self.drop_old(&mut batch) > 0 || packed.is_empty() {
                if batch.samples() == 0 {
                    return Answered::Taken;
                }
                packed = pack(self.destination.protocol, &batch, &self.engine);
            }
            let begun = Instant::now();
            let Some(sent) = self.send(packed.clone()).await else { return Answered::Stopped };
            self.figures.busy_us.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
            let (why, after) = match sent {
                Sent::Again { why, after } => (why, after),
                Sent::Taken => {
                    self.taken(&batch, packed.len());
                    return Answered::Taken;
                }
                Sent::Refused { why, written, parts_may_do } => {
                    return Answered::Refused(Refused { batch, why, written, parts_may_do });
                }
            };
            self.figures.retried.fetch_add(batch.samples() as u64, Ordering::Relaxed);
            let wait = after.unwrap_or(pause);
            if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                told = Some(Instant::now());
                let to = self.destination.label();
                tracing::warn!(to, samples = batch.samples(), "remote_write waits {wait:?} to send again: {why}");
            }
            *self.figures.last_error.lock() = Some(why);
            self.figures.failing.store(true, Ordering::Relaxed);
            pause = (pause * 2).min(self.destination.queue.max_backoff);
            tokio::select! {
                _ = self.stopping.wait_for(|stopping| *stopping) => return Answered::Stopped,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One request; `None` if we stop and it takes too long.
    async fn send(&mut self, packed: Vec<u8>) -> Option<Sent> {
        let mut stopping = self.stopping.clone();
        let patience = async move {
            // An error means that the feeder has gone, too.
            let _ = stopping.wait_for(|stopping| *stopping).await;
            tokio::time::sleep(STOP_MAX).await;
        };
        tokio::select! {
            sent = self.sender.send(packed) => Some(sent),
            () = patience => None,
        }
    }

    fn drop_old(&self, batch: &mut Batch) -> usize {
        let limit = self.destination.queue.sample_age_limit;
        if limit.is_zero() {
            return 0;
        }
        let limit_ms = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        let dropped = batch.drop_before(Timestamp::now().millis().saturating_sub(limit_ms));
        self.figures.give_up(Dropped::TooOld, dropped as u64);
        dropped
    }

    fn taken(&self, batch: &Batch, bytes: usize) {
        let figures = &self.figures;
        figures.sent.fetch_add(batch.samples() as u64, Ordering::Relaxed);
        figures.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        figures.highest_sent_ms.fetch_max(batch.newest_ms, Ordering::Relaxed);
        if figures.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(to = self.destination.label(), "remote_write goes on");
            *figures.last_error.lock() = None;
        }
    }

    fn refused(&self, batch: &Batch, why: &str, written: usize) {
        let written = written.min(batch.samples());
        let failed = (batch.samples() - written) as u64;
        self.figures.sent.fetch_add(written as u64, Ordering::Relaxed);
        self.figures.failed.fetch_add(failed, Ordering::Relaxed);
        *self.figures.last_error.lock() = Some(why.to_owned());
        // It answers, so that there is nothing to wait for.
        self.figures.failing.store(true, Ordering::Relaxed);
        // What is sent again after a kill may be there already.
        if failed > 0 && !batch.is_repeated {
            *self.figures.refused.lock() = Some((Timestamp::now(), why.to_owned()));
        }
        let mut told = self.figures.refusal_told.lock();
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            let (to, in_all) = (self.destination.label(), self.figures.failed.load(Ordering::Relaxed));
            tracing::error!(
                to,
                samples = failed,
                in_all,
                "remote_write gives samples up, the receiver refuses them: {why}"
            );
        }
    }
}

fn pack(protocol: Protocol, batch: &Batch, engine: &Engine) -> Vec<u8> {
    let message = encode::request(protocol, batch, |metric| engine.family_of(metric));
    // It fails for more than 4 GiB only; a batch is a few thousand samples.
    snap::raw::Encoder::new().compress_vec(&message).unwrap_or_default()
}
