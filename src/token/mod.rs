//! What we give to clients and have to recognize when it comes back: signed with a key that never leaves `state_dir`.
//!
//! Owns the key, the signature, and the text of a preview's token and of a canary's ticket. `admin` hands out
//! previews; `http` reads the tokens that come back.

mod preview;
mod signed;
mod signer;
mod ticket;

pub use preview::Preview;
pub use signer::{Purpose, Signature, Signer};
pub use ticket::{read_ticket, ticket_text};
