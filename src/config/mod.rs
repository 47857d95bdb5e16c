//! The config file: from text to [`Config`], or to every mistake in it.
//!
//! Owns `edge.toml`: its keys and defaults (`resolve`), its walk (`read`), its mistakes ([`Diagnostics`]), what is not
//! built yet (`unbuilt`). Only `load` touches the disk. Opens no certificate and resolves no name: a file that is fine
//! here can still name a certificate that is not there.
//! The result, which the rest of the program is written against: [`model`].

mod changes;
mod diagnostic;
mod limits;
mod load;
pub mod model;
mod policy;
mod read;
mod resolve;
mod route_path;
mod summary;
mod unbuilt;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod reference;

pub use changes::{changes, waits_for_restart};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use load::{DEFAULT_PATH, PATH_VARIABLE, find, load};
pub use model::*;
pub use policy::cors::{CorsConfig, OriginPattern};
pub use policy::error_folder::{ErrorFolder, PageName};
pub use resolve::{DEFAULT_SOCKET, DEFAULT_STATE_DIR, parse};
pub use route_path::RoutePath;

/// A valid config, and the warnings about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    /// Never holds an error.
    pub warnings: Diagnostics,
    /// The files that it was read from, too: secrets (`x_file`), and pages, those that were not there included.
    pub files: Vec<std::path::PathBuf>,
}
