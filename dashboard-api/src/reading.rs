//! Reading texts of queries, of which long ones would keep an async thread from others, and many of them at once all cores.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::ApiError;

/// What is this long is read in less time than another thread takes to wake, bytes.
const SHORT_BYTES: usize = 4 << 10;
/// So long a long text waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Turns of long texts, which are given in the order in which they are asked for.
pub struct Reading {
    turns: Arc<Semaphore>,
}

impl Default for Reading {
    /// Half of the cores read long texts, so that the rest has the others.
    fn default() -> Reading {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Reading { turns: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }
}

impl Reading {
    /// Reads a text: a short one at once, a long one off the async threads when its turn comes.
    ///
    /// Errors: it did not come in time.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        text: &str,
        read: impl FnOnce(&str) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        if text.len() <= SHORT_BYTES {
            return Ok(read(text));
        }
        let text = text.to_owned();
        self.in_turn(move || read(&text)).await
    }

    /// The same of several texts.
    pub(crate) async fn read_all<'t, T: Send + 'static>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        read: impl FnOnce(&[String]) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let texts: Vec<String> = texts.map(str::to_owned).collect();
        if texts.iter().map(String::len).sum::<usize>() <= SHORT_BYTES {
            return Ok(read(&texts));
        }
        self.in_turn(move || read(&texts)).await
    }

    async fn in_turn<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let turn = timeout(WAIT_MAX, self.turns.clone().acquire_owned()).await.ok().and_then(Result::ok);
        let turn = turn.ok_or_else(|| {
            ApiError::unavailable("busy", "too many other queries as long as this one are being read")
                .hint("ask again, or for less at once")
        })?;
        let work = move || {
            let done = read();
            // Not before: a client that leaves does not end what is being read for it.
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn one_at_a_time() -> Arc<Reading> {
        Arc::new(Reading { turns: Arc::new(Semaphore::new(1)) })
    }

    #[tokio::test]
    async fn long_texts_are_read_in_their_turn_and_short_ones_at_once() {
        let reading = one_at_a_time();
        let long = "x".repeat(SHORT_BYTES + 1);
        let (go, wait) = mpsc::channel::<()>();
        let (read, order) = mpsc::channel();
        let mut asked = Vec::new();
        let mut wait = Some(wait);
        for number in 0..20 {
            let (reading, long, read) = (reading.clone(), long.clone(), read.clone());
            let wait = wait.take();
            asked.push(tokio::spawn(async move {
                let work = move |_: &str| {
                    // The first one is read until it is told otherwise.
                    wait.map(|wait| wait.recv());
                    read.send(number).expect("somebody listens");
                };
                reading.read(&long, work).await.expect("its turn comes");
            }));
            tokio::task::yield_now().await;
        }
        let texts = ["up", "sum(up)"];
        assert_eq!(reading.read(texts[0], str::len).await.expect("at once"), 2);
        assert_eq!(reading.read_all(texts.into_iter(), <[String]>::len).await.expect("at once"), 2);
        assert!(order.try_recv().is_err(), "none of the long ones was read by now");
        go.send(()).expect("it waits");
        for asked in asked {
            asked.await.expect("it does not fail");
        }
        assert_eq!(order.try_iter().collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_to_ask_again() {
        let reading = one_at_a_time();
        let _turn = reading.turns.clone().acquire_owned().await.expect("it is never closed");
        let long = "x".repeat(SHORT_BYTES + 1);
        let refused = reading.read(&long, str::len).await.expect_err("its turn never came");
        assert_eq!((refused.status.as_u16(), refused.code), (503, "busy"));
        assert!(refused.retry_after_s.is_some());
        let both = [&*long, "up"];
        assert!(reading.read_all(both.into_iter(), <[String]>::len).await.is_err());
    }
}
