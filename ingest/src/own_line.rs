//! A line that the server sends to itself, by the way that all lines take.

use watchfire_model::Timestamp;

use crate::gather::Gatherer;
use crate::intake::Intake;

/// Takes one line as if it had been sent by somebody: read, normalised, durable in the queue when this returns. Answers
/// its offset there.
///
/// Errors: why it was refused, in words.
pub async fn take_line(intake: &Intake, line: &str) -> Result<u64, String> {
    let counters = intake.metrics.source("self");
    let parsers = intake.parsers.load_full();
    let origin = intake.origin(Timestamp::now());
    let mut gathered = intake.with_worker(|worker| {
        let mut gatherer = Gatherer::new(&parsers, &intake.ids, worker, origin);
        gatherer.text_lines(line.as_bytes(), None);
        gatherer.finish()
    });
    let done = intake.submit(&mut gathered, &counters, &parsers).await.map_err(|error| error.to_string())?;
    let refused = || gathered.errors.first().map_or_else(String::new, |refused| refused.message.clone());
    done.first_offset.ok_or_else(refused)
}
