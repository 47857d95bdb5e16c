//! The admin socket: what operators and scripts ask of a running daemon, as HTTP/1.1 and JSON over a unix socket.
//!
//! Owns the words on the wire ([`wire`]), the server that speaks them (`server`) and the client that the command line uses;
//! `curl --unix-socket` is as good a client. Changes nothing itself: it hands operations to [`crate::control`] and reads what
//! the others publish. The socket file's mode decides who may connect, and the history keeps who did. Its caller is
//! [`crate::cli`].

mod client;
mod server;
mod state;
pub mod wire;

#[cfg(test)]
mod tests;

pub use client::{AdminClient, ClientError};
pub use server::{bind, serve};
pub use state::{AdminState, ReloadFailed, ReloadReport, ReloadRequest};
pub use wire::{Problem, ProblemCode};
