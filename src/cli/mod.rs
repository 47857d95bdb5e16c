//! The command line: one file for each command, with its arguments and its effect.
//!
//! Owns what is printed and the exit codes ([`Exit`]). Decides nothing about traffic: most commands ask the daemon through
//! [`crate::admin`], the others work on files. The product goes to stdout, progress and errors go to stderr; with `--json`,
//! stdout has JSON values instead, one a line.
//!
//! `command` is the tree of commands. They share `terminal` (what is printed), `context` (the daemon, and which service is meant)
//! and `operation` (what switches, canaries and pauses have in common).

mod acme;
mod ca;
mod canary;
mod certs;
mod check;
mod color;
mod command;
mod completions;
mod context;
mod demo;
mod health;
mod history;
mod maintenance;
mod operation;
mod pause;
mod preview;
mod reload;
mod resume;
mod rollback;
mod serve;
mod status;
mod switch;
mod terminal;
mod top;
mod wait;

#[cfg(test)]
mod tests;

pub use command::run;
pub use terminal::Exit;
