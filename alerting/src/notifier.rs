//! The port to the outside: one way of telling someone.

use crate::notification::Notification;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Whether and when to try a message again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again: the receiver understood and refused, or the settings are wrong.
    Never,
    /// Later, with growing waits.
    BackOff,
    /// The receiver asks to wait this long.
    After(Duration),
}

/// Why a message did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// Whether to try again.
    pub retry: Retry,
    /// What happened, and the remedy if there is one; holds no secret and no control character.
    pub message: String,
}

impl SendError {
    /// A failure that may pass.
    pub fn passing(message: impl AsRef<str>) -> SendError {
        SendError { retry: Retry::BackOff, message: crate::text::printable(message.as_ref(), 500) }
    }

    /// A failure that would happen again.
    pub fn lasting(message: impl AsRef<str>) -> SendError {
        SendError { retry: Retry::Never, message: crate::text::printable(message.as_ref(), 500) }
    }
}

/// The future of one attempt.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>;

/// One way of telling someone.
///
/// What every adapter promises (the conformance suite checks it):
/// - an attempt ends within the integration's timeout, whatever the other side does;
/// - `Ok` only if the other side has taken the message over;
/// - the message's id goes along, the same at each attempt, so that the other side can recognise a repetition;
/// - texts of alerts are data: none can become a header, a command or markup;
/// - it can be dropped at any await.
pub trait Notifier: Send + Sync {
    /// Tries once to deliver.
    fn send<'a>(&'a self, notification: &'a std::sync::Arc<Notification>) -> Sending<'a>;
}
