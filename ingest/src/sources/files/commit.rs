//! Bringing a turn into the queue: its lines and the positions of its files, together or not at all.

use watchfire_queue::AppendError;

use super::{Files, LIST_PAUSE_MS, RETRY};
use crate::gather::{Gathered, Reason};
use crate::sources::position::{FileId, Position};
use crate::sources::turn::{Outcome, Step, TURN_BYTES, Turn};

impl Files {
    /// Commits what must be in place before anything is read, however long that takes.
    pub(super) fn commit_surely(&mut self, mut turn: Turn) {
        let mut retry = RETRY.0;
        while !turn.is_empty() && !self.is_stopped() {
            if let Outcome::Refused = self.try_commit(&mut turn) {
                std::thread::sleep(retry);
                retry = (retry * 2).min(RETRY.1);
            }
        }
    }

    /// Stores a turn; what is refused is read again.
    pub(super) fn commit(&mut self, mut turn: Turn) -> Outcome {
        let outcome = self.try_commit(&mut turn);
        if let Outcome::Refused = outcome {
            turn.visited().for_each(|id| self.make_ready(id));
        }
        outcome
    }

    /// Stores the lines of a turn and moves its files; the turn is empty then. If it is refused, its lines are gone from
    /// it, as they are read again.
    pub(super) fn try_commit(&mut self, turn: &mut Turn) -> Outcome {
        if turn.is_empty() {
            let has_more = !turn.more.is_empty();
            self.apply(std::mem::take(turn));
            return if has_more { Outcome::Moved } else { Outcome::Idle };
        }
        let mut gathered = turn.take_gathered();
        match self.append(turn, &mut gathered) {
            Ok(()) => {
                self.apply(std::mem::take(turn));
                self.turn_bytes = self.turn_bytes.saturating_mul(2).min(TURN_BYTES);
                Outcome::Moved
            }
            Err(AppendError::Moved { .. }) => {
                tracing::error!("a file's position in the queue is not the one known here; it is taken from the queue");
                self.read_positions(turn);
                // What was found in the folders has to be found again.
                (self.list_at_ms, self.knows_orphans) = (0, false);
                self.judged.clear();
                turn.visited().for_each(|id| self.make_ready(id));
                *turn = Turn::default();
                Outcome::Refused
            }
            Err(AppendError::TooLarge { .. }) if gathered.total > 1 => {
                self.turn_bytes = (self.turn_bytes / 4).max(1);
                Outcome::Refused
            }
            Err(error @ AppendError::TooLarge { .. }) => {
                // One line that the queue can never take: it is passed over, and counted.
                tracing::warn!(%error, "a line was not stored");
                if self.append(turn, &mut Gathered::default()).is_err() {
                    return Outcome::Refused;
                }
                self.intake.metrics.rejected(Reason::TooLong, u64::from(gathered.total));
                self.apply(std::mem::take(turn));
                Outcome::Moved
            }
            // Lines of files have no key of a request that could be used twice.
            Err(AppendError::Full { .. } | AppendError::Reused | AppendError::Io(_) | AppendError::Closed) => {
                Outcome::Refused
            }
        }
    }

    fn append(&self, turn: &Turn, gathered: &mut Gathered) -> Result<(), AppendError> {
        let parsers = self.intake.parsers.load_full();
        let appended = self.intake.append_moving(gathered, turn.checkpoints(), &self.counters, &parsers);
        self.runtime.block_on(appended)
    }

    /// The turn is durable.
    fn apply(&mut self, turn: Turn) {
        for file in turn.adopted {
            let id = file.id;
            tracing::info!(file = %file.path.display(), at = file.position.at, "is read from here to its end");
            self.by_path.insert(file.path.clone(), id);
            self.tracked.insert(id, file);
            self.make_ready(id);
        }
        turn.dropped.into_iter().for_each(|id| self.drop_file(id));
        for step in turn.steps {
            match &step {
                Step::Forget { key, .. } => {
                    if let Some(file) = FileId::of_key(key).and_then(|id| self.tracked.get_mut(&id)) {
                        file.stored = None;
                    }
                }
                Step::Keep { .. } => {
                    // What waited as a copy of that can be judged now.
                    self.kept += 1;
                    self.list_at_ms = self.list_at_ms.min(self.listed_ms.saturating_add(LIST_PAUSE_MS));
                }
                Step::Place { .. } | Step::Meet { .. } => {}
            }
            let Step::Place { id, position, records, bytes, .. } = step else { continue };
            let Some(file) = self.tracked.get_mut(&id) else { continue };
            tracing::debug!(file = %file.path.display(), ?id, at = position.at, records, "lines are stored");
            file.stored = Some(position.encode());
            if file.position.path != position.path {
                file.name = position.path.display().to_string();
            }
            file.position = position;
            (file.was_read, file.failing) = (true, false);
            if let Some(source) = self.sources.get(file.source) {
                source.figures.records.inc_by(records);
                source.figures.bytes.inc_by(bytes);
            }
        }
        turn.more.into_iter().for_each(|id| self.make_ready(id));
    }

    fn read_positions(&mut self, turn: &Turn) {
        for id in turn.visited() {
            let stored = self.intake.queue.checkpoint(&id.key());
            if let Some(file) = self.tracked.get_mut(&id) {
                let known = stored.as_deref().and_then(Position::decode);
                file.position = known.unwrap_or_else(|| self.links.named(&file.path));
                file.stored = stored;
            }
        }
    }
}
