//! The admin socket: what operators and scripts ask of a running daemon, as HTTP/1.1 and JSON over a unix socket.
//!
//! Owns the words on the wire ([`wire`], [`problem`]), the server that speaks them and the client that the command line
//! uses; `curl --unix-socket` is as good a client. Changes nothing itself: it hands operations to [`crate::control`] and
//! reads what the others publish. Who may connect is the socket file's mode; who did goes into the history. Who calls:
//! [`crate::cli`].

mod ask;
mod call;
mod client;
mod preview;
pub mod problem;
mod routes;
mod server;
mod state;
mod status;
mod stream;
pub mod wire;

#[cfg(test)]
mod tests;

pub use client::{Client, ClientError};
pub use problem::{Code, Problem};
pub use server::{bind, serve};
pub use state::{AdminState, ReloadFailed, ReloadReport, ReloadRequest};
