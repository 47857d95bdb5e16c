//! The config file and the files that it names: which they are, what they hold, and when they may have changed.
//!
//! Says that it is time to look; what is taken up is the reload's business.

mod named;
mod taken_up;
mod watch;

pub(super) use named::{Fingerprints, fingerprint, fingerprints, named_files};
pub(super) use taken_up::TakenUp;
pub(super) use watch::{FileWatch, settle};
