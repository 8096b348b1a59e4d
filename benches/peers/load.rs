//! The series of a fleet, as they are sent.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use watchfire_test_support::fleet::{self, STEP_MS};
use watchfire_test_support::remote_write::{http_request, labels, put_series};

use crate::peer::Peer;

/// Series of a request, each with one sample, as scrapes give them.
const SERIES_PER_REQUEST: usize = 2_000;
/// Connections that send beside each other, each with series of its own.
const SENDERS: usize = 2;

/// All series, and when their first sample is.
pub struct Load {
    /// Those that live at the same time stand together, the first ones first.
    series: Vec<Series>,
    living: usize,
    lifetime: usize,
    pub first_ms: i64,
    pub samples: usize,
}

struct Series {
    labels: Vec<u8>,
    grows: bool,
}

impl Load {
    /// So many series with so many samples each, the last one now.
    pub fn new(series: usize, samples: usize) -> Load {
        Load::churning(series, samples, samples)
    }

    /// So many series at each time; each has so many samples and then gives way to a new one.
    pub fn churning(living: usize, samples: usize, lifetime: usize) -> Load {
        let generations = samples.div_ceil(lifetime);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
        let first_ms = now - (samples as i64 - 1) * STEP_MS;
        let series = (0..living * generations).map(series_of).collect();
        Load { series, living, lifetime, first_ms, samples }
    }

    /// How many samples there are.
    pub fn total(&self) -> usize {
        self.living * self.samples
    }

    /// When the last sample is.
    pub fn last_ms(&self) -> i64 {
        self.first_ms + (self.samples as i64 - 1) * STEP_MS
    }

    /// Sends all of it in the order of time, over two connections.
    pub fn send(self: &Arc<Self>, peer: &Peer) {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (load, mut client) = (Arc::clone(self), peer.client());
                std::thread::spawn(move || {
                    for step in 0..load.samples {
                        let born = step / load.lifetime * load.living;
                        let living = &load.series[born..born + load.living];
                        for (number, part) in living.chunks(SERIES_PER_REQUEST).enumerate() {
                            if number % SENDERS == sender {
                                let first = born + number * SERIES_PER_REQUEST;
                                let answer = client.call(&load.request(part, first, step));
                                assert!(matches!(answer.status, 200 | 204), "{}: {}", answer.status, answer.text());
                            }
                        }
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().expect("every request is taken");
        }
    }

    fn request(&self, part: &[Series], first: usize, step: usize) -> Vec<u8> {
        let at = self.first_ms + step as i64 * STEP_MS;
        let mut request = Vec::with_capacity(part.len() * 420);
        for (number, series) in part.iter().enumerate() {
            put_series(&series.labels, &[(at, fleet::value(first + number, step, series.grows))], &mut request);
        }
        http_request(&request)
    }
}

fn series_of(number: usize) -> Series {
    let set = fleet::labels_of(number);
    Series { labels: labels(set.iter()), grows: fleet::grows(&set) }
}
