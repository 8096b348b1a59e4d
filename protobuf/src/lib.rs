//! Which fields are in this message? Protocol buffers, read where they lie ([`Message`]) and written as they come
//! ([`Writer`]). What the fields mean stands beside who reads them.
//!
//! Invariants: no bytes make it panic or allocate; nothing is recursive; what is written reads back as it was.

mod read;
mod write;

pub use read::{Field, Malformed, Message, doubles, leading_run, numbers, varint};
pub use write::{Writer, put_varint};
