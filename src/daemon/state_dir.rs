//! `state_dir` at the start: made, locked, read; an error names the file, and the user that it must belong to.

use std::io;

use crate::config::Config;
use crate::control::{Recovered, StateFile};
use crate::state::{DirLock, create_private_dir};

pub(super) fn take_state_dir(config: &Config) -> Result<DirLock, String> {
    let folder = &config.server.state_dir;
    create_private_dir(folder).map_err(|e| in_state_dir(config, "", &e))?;
    DirLock::take(folder).map_err(|e| in_state_dir(config, "lock", &e))
}

pub(super) fn open_state(config: &Config) -> Result<StateFile, String> {
    let (state, recovered) =
        StateFile::open(&config.server.state_dir).map_err(|e| in_state_dir(config, "state.json", &e))?;
    if let Recovered::Damaged { aside, why } = recovered {
        tracing::error!(
            aside = %aside.display(),
            why,
            "THE STATE FILE IS DAMAGED and was moved aside: every service starts with its `initial` colour; \
             check what serves with `edgectl status`"
        );
    }
    Ok(state)
}

pub(super) fn in_state_dir(config: &Config, file: &str, error: &io::Error) -> String {
    let folder = &config.server.state_dir;
    let path = if file.is_empty() { folder.clone() } else { folder.join(file) };
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "; it and what is in it must belong to the daemon's user (uid {})",
            rustix::process::geteuid().as_raw()
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            "; it has to be on a file system that can be written, such as a volume".to_owned()
        }
        _ => String::new(),
    };
    format!("state_dir {}: {error}{advice}", path.display())
}
