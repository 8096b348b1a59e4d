//! What whoever looks at the server should know now: that a reload failed, that it stops. `notifications` of Prometheus'
//! API tells it, once or as it comes.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;
use watchfire_model::Timestamp;

/// The configuration in force is not the one that was written.
pub const RELOAD_FAILED: &str = "Configuration reload has failed.";
/// Nothing new is taken.
pub const STOPPING: &str = "Watchfire is shutting down and gracefully stopping all operations.";

/// Most that listen at once.
const LISTENERS_MAX: usize = 16;
/// Notices that a listener may be behind; older ones are passed over.
const BEHIND_MAX: usize = 16;

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// What is to be known.
    pub text: &'static str,
    /// Since when, RFC 3339.
    pub date: String,
    /// Whether it is so, or not any more.
    pub active: bool,
}

/// All that are to be known now.
#[derive(Debug)]
pub struct Notices {
    active: Mutex<Vec<Notice>>,
    told: broadcast::Sender<Notice>,
}

impl Default for Notices {
    fn default() -> Notices {
        Notices { active: Mutex::default(), told: broadcast::channel(BEHIND_MAX).0 }
    }
}

impl Notices {
    /// Notes that it is so, or not any more, and tells those who listen, if that is new.
    pub fn set(&self, text: &'static str, is_active: bool) {
        let mut active = self.active.lock();
        let place = active.iter().position(|notice| notice.text == text);
        let notice = match place {
            None if is_active => {
                let notice = Notice { text, date: Timestamp::now().to_rfc3339(), active: true };
                active.push(notice.clone());
                notice
            }
            Some(place) if !is_active => Notice { active: false, ..active.remove(place) },
            Some(_) | None => return,
        };
        // Nobody needs to listen.
        let _ = self.told.send(notice);
    }

    /// Those that are so now.
    pub fn active(&self) -> Vec<Notice> {
        self.active.lock().clone()
    }

    /// Those that are so now, and all that come; `None` if too many listen.
    pub fn listen(self: &Arc<Notices>) -> Option<(Vec<Notice>, broadcast::Receiver<Notice>)> {
        let active = self.active.lock();
        (self.told.receiver_count() < LISTENERS_MAX).then(|| (active.clone(), self.told.subscribe()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let notices = Arc::new(Notices::default());
        notices.set(RELOAD_FAILED, false);
        notices.set(RELOAD_FAILED, true);
        let (active, mut told) = notices.listen().expect("nobody listens");
        assert_eq!(active, notices.active());
        assert_eq!((active.len(), active[0].text, active[0].active), (1, RELOAD_FAILED, true));
        notices.set(RELOAD_FAILED, true);
        notices.set(RELOAD_FAILED, false);
        assert_eq!(told.try_recv(), Ok(Notice { active: false, ..active[0].clone() }));
        assert!(told.try_recv().is_err() && notices.active().is_empty());
        let others: Vec<_> = (1..LISTENERS_MAX).map(|_| notices.listen().expect("not too many")).collect();
        assert!(notices.listen().is_none());
        drop(others);
        assert!(notices.listen().is_some());
    }
}
