//! What the daemon shows without the admin socket: the metrics port, and the gauges read at scrape time.

mod gauges;
mod port;

pub(super) use gauges::Gauges;
pub(super) use port::{Observed, bind, is_known_host, serve};
