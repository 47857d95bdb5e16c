//! `edgectl demo`: a real edgectl with two backends behind it, in one process, and traffic that counts what it loses.
//!
//! Owns only the demo: its backends, its traffic, its folder for temporary files. It shows the product itself: the daemon runs
//! by [`crate::daemon::serve_until`], as always, and is switched through its admin socket. Touches nothing outside its folder.
//!
//! `play` runs it from start to end: `stage` (folder, config, daemon), `backend`, `traffic` (one file for each kind), `turns` (which
//! colour may answer), `tally` (what was answered or lost), `script` (what happens when), `report` (what is printed).

mod backend;
mod play;
mod report;
mod script;
mod stage;
mod tally;
mod traffic;
mod turns;

pub use play::{DEFAULT_LENGTH, DemoOptions, run};
