//! The daemon's end of the admin socket: paths, bodies, answers.
//!
//! `serve` is the socket, `routes` what each path does. `call` reads one request on a service, `goals` turns its body into what
//! control is to do, `stream` answers while the operation runs. `status` and `preview` make their answers. The only place that
//! doubts what came over the socket.

mod call;
mod caller;
mod goals;
mod preview;
mod routes;
mod serve;
mod status;
mod stream;

pub use serve::{bind, serve};
