//! A line that the server sends to itself, by the way that all lines take.

use watchfire_model::Timestamp;

use crate::gather::Gatherer;
use crate::intake::Intake;

/// Takes one line as if it had been sent by somebody: read, normalised, durable in the queue when this returns.
///
/// Errors: why it was refused, in words.
pub async fn take_line(intake: &Intake, line: &str) -> Result<(), String> {
    let counters = intake.metrics.source("self");
    let parsers = intake.parsers.load_full();
    let origin = intake.origin(Timestamp::now());
    let mut gathered = intake.with_worker(|worker| {
        let mut gatherer = Gatherer::new(&parsers, &intake.ids, worker, origin);
        gatherer.text_lines(line.as_bytes(), None);
        gatherer.finish()
    });
    intake.submit(&mut gathered, &counters, &parsers).await.map_err(|error| error.to_string())?;
    match gathered.errors.first() {
        Some(refused) => Err(refused.message.clone()),
        None => Ok(()),
    }
}
