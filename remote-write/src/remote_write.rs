//! All destinations: put in force, replaced, stopped, shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender as EventSender;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use watchfire_engine::Engine;
use watchfire_model::{LabelSet, Timestamp};

use crate::checkpoint::{Found, Store, forget_others};
use crate::config::{Destination, Protocol};
use crate::encode;
use crate::feeder::{Feeder, Setup};
use crate::send::{Sender, Sent};
use crate::shard::Event;
use crate::stats::{DestinationStats, Figures};

/// Up to when all that was accepted is counted.
pub type CountedUntil = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Sends what the engine takes in to other servers.
pub struct RemoteWrite {
    engine: Arc<Engine>,
    dir: PathBuf,
    counted_until: CountedUntil,
    runtime: Handle,
    /// Destinations are changed by one at a time; who looks at them does not wait for that.
    changing: Mutex<()>,
    running: Mutex<Vec<Running>>,
}

/// One destination at work.
struct Running {
    destination: Arc<Destination>,
    external: LabelSet,
    figures: Arc<Figures>,
    events: EventSender<Event>,
    feeder: JoinHandle<()>,
    metadata: Option<tokio::task::JoinHandle<()>>,
}

impl RemoteWrite {
    /// Without destinations. Where each stands is kept in a folder; tasks run on `runtime`.
    pub fn new(
        engine: Arc<Engine>,
        dir: impl Into<PathBuf>,
        counted_until: CountedUntil,
        runtime: Handle,
    ) -> RemoteWrite {
        let (changing, running) = (Mutex::default(), Mutex::default());
        RemoteWrite { engine, dir: dir.into(), counted_until, runtime, changing, running }
    }

    /// From which record on the engine's log has to be kept for destinations, as their files say; to be asked before the engine
    /// is opened. `None`: none of them has begun.
    pub fn log_held_from(dir: &Path, destinations: &[Destination]) -> Option<u64> {
        let places = destinations.iter().filter_map(|destination| match Store::new(dir, &destination.label()).load() {
            Found::Nothing => None,
            Found::Place(checkpoint) => Some(checkpoint.names_from),
            Found::Damaged => Some(0),
        });
        places.min()
    }

    /// Puts these destinations in force: those that are as before go on, others go on from where they stand, new ones begin
    /// with what is taken in from now on, and what is no destination any more is forgotten. Blocks.
    ///
    /// Errors: a destination that cannot be begun, for people; all others are.
    pub fn apply(&self, destinations: &[Destination], external: &LabelSet) -> Result<(), String> {
        let _one = self.changing.lock();
        let goes = |have: &mut Running| have.external != *external || !destinations.contains(&have.destination);
        let gone: Vec<Running> = self.running.lock().extract_if(.., goes).collect();
        stop_all(gone);
        let labels: Vec<String> = destinations.iter().map(Destination::label).collect();
        if let Err(error) = forget_others(&self.dir, &labels) {
            tracing::warn!(%error, "remote_write cannot remove the files of destinations that are gone");
        }
        let mut failed = Vec::new();
        for destination in destinations {
            if self.running.lock().iter().any(|have| *have.destination == *destination) {
                continue;
            }
            match self.begin(destination, external) {
                Ok(begun) => self.running.lock().push(begun),
                Err(why) => failed.push(format!("remote_write: {}: {why}", destination.label())),
            }
        }
        self.engine.let_go_of_log();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
    }

    fn begin(&self, destination: &Destination, external: &LabelSet) -> Result<Running, String> {
        let label = destination.label();
        let destination = Arc::new(destination.clone());
        let sender = Arc::new(Sender::new(&destination)?);
        let figures = Arc::new(Figures::default());
        let (told, events) = crossbeam_channel::unbounded();
        let setup = Setup {
            engine: self.engine.clone(),
            destination: destination.clone(),
            external: external.clone(),
            sender: sender.clone(),
            store: Store::new(&self.dir, &label),
            figures: figures.clone(),
            counted_until: self.counted_until.clone(),
            runtime: self.runtime.clone(),
        };
        let feeder = Feeder::new(setup, (told.clone(), events)).map_err(|error| error.to_string())?;
        let thread = std::thread::Builder::new().name("remote-write".into()).spawn(move || feeder.run());
        let feeder = thread.map_err(|error| format!("a thread could not be started: {error}"))?;
        let metadata = match (destination.protocol, &destination.metadata) {
            (Protocol::V1, Some(metadata)) => {
                let (engine, metadata) = (self.engine.clone(), metadata.clone());
                Some(self.runtime.spawn(tell_metadata(engine, sender, metadata.every, metadata.max_samples_per_send)))
            }
            // In version 2.0 each series says of which type it is.
            (Protocol::V2, _) | (Protocol::V1, None) => None,
        };
        Ok(Running { destination, external: external.clone(), figures, events: told, feeder, metadata })
    }

    /// Figures of all destinations.
    pub fn stats(&self) -> Vec<DestinationStats> {
        let running = self.running.lock();
        running.iter().map(|one| one.figures.read(&one.destination.label(), &one.destination.url.shown())).collect()
    }

    /// Ends all, after the requests under way. What is not sent is sent after the next start. Blocks.
    pub fn stop(&self) {
        let _one = self.changing.lock();
        let all = std::mem::take(&mut *self.running.lock());
        stop_all(all);
    }
}

fn stop_all(all: Vec<Running>) {
    for one in &all {
        // One that does not hear has ended.
        let _ = one.events.send(Event::Stop);
        if let Some(metadata) = &one.metadata {
            metadata.abort();
        }
    }
    for one in all {
        if one.feeder.join().is_err() {
            tracing::error!(to = one.destination.label(), "the thread of remote_write panicked");
        }
    }
}

/// Tells again and again what is known of metrics; what does not arrive is told the next time.
async fn tell_metadata(engine: Arc<Engine>, sender: Arc<Sender>, every: Duration, at_once: usize) {
    loop {
        tokio::time::sleep(every).await;
        let engine = engine.clone();
        let Ok(families) = tokio::task::spawn_blocking(move || engine.families("")).await else { continue };
        for some in families.chunks(at_once.max(1)) {
            let message = encode::metadata(some);
            let packed = snap::raw::Encoder::new().compress_vec(&message).unwrap_or_default();
            if let Sent::Again { why, .. } | Sent::Refused { why, .. } = sender.send(packed).await {
                tracing::debug!("remote_write cannot tell what is known of metrics: {why}");
                break;
            }
        }
    }
}
