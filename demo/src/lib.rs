//! What does Watchfire look like when something happens?
//!
//! The traffic of a small shop for `watchfire demo`: six services that write logs in formats of their own, each request
//! traced through them by its correlation id, hours of history, an incident that comes back every five minutes, and a
//! receiver that prints the notifications. Everything goes into the server by its ordinary ways in; nothing here knows
//! how it works inside.
//!
//! Invariants:
//! - what is written depends on the seed and the times alone;
//! - a line is never dated after the moment at which it is sent.
//!
//! In reading order: [`incident`] (what goes wrong, when), `request` (one request through all services), `lines` (how
//! each service logs it), [`traffic`] (history and live), [`receiver`], [`settings`] (the configuration that goes with it).

pub mod incident;
mod lines;
pub mod receiver;
mod request;
pub mod settings;
pub mod traffic;
