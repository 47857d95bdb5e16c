//! The only part of the config that touches the disk and the process's environment.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::read::Outside;
use super::{Loaded, resolve};
use crate::named_file;
use crate::resources::memory_limit;

/// Where the file is looked for by default.
pub const DEFAULT_PATH: &str = "/etc/edgectl/edge.toml";

/// The environment variable that says where it is.
pub const PATH_VARIABLE: &str = "EDGE_CONFIG";

/// The file to load: as told, else `$EDGE_CONFIG`, else [`DEFAULT_PATH`].
#[must_use]
pub fn find(explicit: Option<&Path>) -> PathBuf {
    let named = std::env::var_os(PATH_VARIABLE).filter(|path| !path.is_empty());
    explicit.map(PathBuf::from).or(named.map(PathBuf::from)).unwrap_or_else(|| DEFAULT_PATH.into())
}

/// Reads and resolves a file, with the process's environment.
///
/// # Errors
/// Every mistake in it, or that it can't be read.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    let name = path.display().to_string();
    let text = named_file::read_text(path).map_err(|error| unreadable(&name, &error))?;
    let files: RefCell<Vec<PathBuf>> = RefCell::default();
    let file = |path: &Path| {
        files.borrow_mut().push(path.to_owned());
        named_file::read_text(path)
    };
    let outside = Outside { env: &|name| std::env::var(name).ok(), file: &file, memory: memory_limit() };
    let loaded = resolve::resolve(&name, &text, outside)?;
    Ok(Loaded { files: files.into_inner(), ..loaded })
}

fn unreadable(name: &str, error: &io::Error) -> Diagnostics {
    let found = Diagnostic::error(format!("cannot read the config: {error}"));
    let found = match error.kind() {
        io::ErrorKind::NotFound => found.help(format!("pass --config FILE, or set {PATH_VARIABLE}")),
        io::ErrorKind::PermissionDenied => found.help("the daemon's user must be able to read it"),
        io::ErrorKind::InvalidData => found.help("a TOML file is UTF-8"),
        _ => found,
    };
    Diagnostics::new(name, "", vec![found])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load(Path::new("/nowhere/edge.toml")).unwrap_err().to_string();
        assert!(error.contains("--> /nowhere/edge.toml"), "{error}");
        assert!(error.contains("--config"), "{error}");
    }

    #[test]
    fn a_secret_is_read_from_its_twin() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("edge.toml");
        std::fs::write(&config, "[acme]\neab_hmac_key_file = \"/nowhere/key\"\n").unwrap();
        let error = load(&config).unwrap_err().to_string();
        assert!(error.contains("acme.eab_hmac_key_file: cannot read /nowhere/key"), "{error}");
    }
}
