//! Syslog over TCP and UDP: RFC 5424 and RFC 3164, counted and line framing on one port.
//!
//! What was read goes to the queue as soon as it is there; while the queue takes it, TCP senders are not read from
//! (their own buffers fill), and datagrams are gathered until the next append, up to a limit, beyond which they are
//! dropped and counted.

mod framing;
mod tcp;
mod udp;

pub use tcp::serve_tcp;
pub use udp::{bind_udp, serve_udp};
