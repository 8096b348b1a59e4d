//! Who is told, when, how often, and did it arrive.
//!
//! Alerts come in level-triggered ([`AlertBatch`]); this crate does not know why they fire. A pure core decides
//! ([`decide`]), its intents are written to the notification log ([`journal`]) before anything is sent, and each
//! target has a queue and a sender of its own, so that none waits for another.
//!
//! Invariants:
//! - what was acknowledged is on disk: a message whose intent is on disk is tried until it arrives or is given up,
//!   also over `kill -9`, always with the same id;
//! - a message whose delivery is on disk is never sent again; between the two, at most the messages under way can be
//!   repeated;
//! - the state is a function of the log's entries alone ([`flow::SentState::apply`]);
//! - messages of one group to one target arrive in the order in which they were decided;
//! - when the log cannot be written, messages go out all the same (twice rather than never) and nothing is
//!   acknowledged.

pub mod batch;
pub mod config;
pub mod secret;

pub mod decide;
pub mod flow;
pub mod notification;
pub mod route;

mod codec;
pub mod entry;
pub mod journal;

pub mod silences;

pub mod email;
mod inner;
pub mod notifier;
mod text;
pub mod webhook;

pub mod backoff;
mod clerk;
mod outbox;
pub mod send_queue;
pub mod service;
pub mod stats;

pub mod heartbeat;

pub use batch::{Acknowledged, AlertBatch, HandleReport};
pub use clerk::Closed;
pub use codec::DecodeError;
pub use config::{
    ConfigFault, EmailConfig, Integration, Receiver, ReceiverSettings, SendLimits, Settings, WebhookAuth, WebhookConfig,
};
pub use heartbeat::{Heartbeat, HeartbeatStats};
pub use inner::InnerReceiver;
pub use notification::{IntegrationKind, Target};
pub use notifier::{Notifier, Retry, SendError};
pub use secret::Secret;
pub use service::{Alerting, DrainReport, OpenError, RecoveryReport, ReloadError, install_crypto};
pub use silences::Silences;
pub use stats::AlertingStats;
