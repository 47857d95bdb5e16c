//! A handshake with a client: what its site asks of it, which tickets are taken, and the whole within one deadline.

mod accept;
mod clients;
mod rules;
mod tickets;

pub use accept::{Handshake, HandshakeError, Tls};
pub use clients::BadClientCert;
pub use rules::Rules;
pub use tickets::{ExportedKeys, NoKey, TicketKeys};
