//! What the tests and benches of the running binary share: a server process, a plain client, log lines.

pub mod answers;
pub mod browser;
pub mod churn;
pub mod client;
pub mod crash;
pub mod daemon;
pub mod fleet;
pub mod lines;
pub mod logs;
pub mod nobody;
pub mod process;
pub mod program;
pub mod prometheus;
pub mod real;
pub mod receiver;
pub mod remote_write;
pub mod rules;
pub mod server;
pub mod smtp;
pub mod target;
pub mod victoria_metrics;
pub mod write_receiver;

pub use browser::Browser;
pub use client::{Answer, Client};
pub use daemon::Daemon;
pub use logs::Logs;
pub use nobody::runs_as_nobody;
pub use program::Program;
pub use prometheus::Prometheus;
pub use receiver::WebhookReceiver;
pub use server::Server;
pub use smtp::SmtpSink;
pub use target::TargetServer;
pub use victoria_metrics::VictoriaMetrics;
pub use write_receiver::WriteReceiver;
