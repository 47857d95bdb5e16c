//! What a command prints and how it ends: stdout and stderr, tables, times, exit codes.
//!
//! Owns the options that every command takes ([`GlobalOptions`]), the exit codes ([`Exit`]), the failure that ends a command
//! ([`CommandFailure`]) and where text goes ([`TerminalOutput`]). Knows no command, and asks no daemon.

mod exit;
mod failure;
mod global;
mod output;
pub mod span;
pub mod table;

pub use exit::Exit;
pub use failure::CommandFailure;
pub use global::GlobalOptions;
pub use output::TerminalOutput;
