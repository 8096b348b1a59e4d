//! Asking again while the server is away, and saying so at once: nobody shall look at a command that seems to hang.

use std::time::{Duration, Instant};

use crate::failure::Failure;

/// First wait before the server is asked again; it doubles up to the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a server that is away is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    limit: Duration,
    /// Whether one that was never there is waited for too.
    from_the_start: bool,
    was_reached: bool,
}

impl Patience {
    /// Waits for a server that has answered before; one that was never there fails at once.
    pub(crate) fn once_reached(limit: Duration) -> Patience {
        Patience { limit, from_the_start: false, was_reached: false }
    }

    /// Waits from the first question on.
    pub(crate) fn from_the_start(limit: Duration) -> Patience {
        Patience { limit, from_the_start: true, was_reached: false }
    }

    /// Asks until the server answers. `say` is told when that takes more than one try, and when it is over.
    ///
    /// Errors: any but that it is away, and that after the limit.
    pub(crate) async fn ask<T, F: Future<Output = Result<T, Failure>>>(
        &mut self,
        say: impl Fn(&str),
        ask: impl Fn() -> F,
    ) -> Result<T, Failure> {
        let (begun, mut wait, mut was_told) = (Instant::now(), WAITS.0, false);
        loop {
            let failure = match ask().await {
                Err(failure @ (Failure::Unavailable { .. } | Failure::Unreached { .. })) => failure,
                other => {
                    self.was_reached = true;
                    if was_told {
                        say("the server answers again");
                    }
                    return other;
                }
            };
            // One that says that it cannot answer now is there.
            self.was_reached |= matches!(failure, Failure::Unavailable { .. });
            if begun.elapsed() + wait > self.limit || !(self.was_reached || self.from_the_start) {
                return Err(failure);
            }
            if !std::mem::replace(&mut was_told, true) {
                say(&format!("{failure}; trying again for up to {} s", self.limit.as_secs()));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAITS.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn away() -> Failure {
        Failure::Unreached { url: "http://x".into(), cause: "refused".into(), is_tls: false }
    }

    fn starting() -> Failure {
        Failure::Unavailable { status: 503, message: "starting".into() }
    }

    /// Asks a server that fails so often first; how it ended, how often it was asked, and what was said.
    async fn ask(patience: &mut Patience, failures: u32, failure: fn() -> Failure) -> (bool, u32, Vec<String>) {
        let (asked, said) = (Cell::new(0), RefCell::new(Vec::new()));
        let answer = patience.ask(
            |text| said.borrow_mut().push(text.to_owned()),
            || {
                asked.set(asked.get() + 1);
                std::future::ready(if asked.get() > failures { Ok(()) } else { Err(failure()) })
            },
        );
        let ended = answer.await.is_ok();
        (ended, asked.get(), said.into_inner())
    }

    #[tokio::test]
    async fn one_that_was_never_there_fails_at_once_unless_it_is_to_be_waited_for() {
        let long = Duration::from_secs(60);
        assert_eq!(ask(&mut Patience::once_reached(long), 1, away).await, (false, 1, vec![]));
        let told = vec![
            "http://x is not reached: refused; trying again for up to 60 s".to_owned(),
            "the server answers again".to_owned(),
        ];
        assert_eq!(ask(&mut Patience::from_the_start(long), 2, away).await, (true, 3, told.clone()));
        // One that was there, or says that it starts.
        let mut patience = Patience::once_reached(long);
        assert_eq!(ask(&mut patience, 0, away).await, (true, 1, vec![]));
        assert_eq!(ask(&mut patience, 1, away).await, (true, 2, told));
        assert!(ask(&mut Patience::once_reached(long), 1, starting).await.0);
        // Not longer than it is to be.
        assert_eq!(ask(&mut Patience::from_the_start(Duration::ZERO), 1, away).await, (false, 1, vec![]));
    }
}
