//! `state_dir` at the start: made, locked, read; an error names the file, and the user that it must belong to.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::control::{Recovered, StateFile};
use crate::state::{DirLock, LaxModes, create_private_dir, mend_modes};

pub(super) fn take_state_dir(config: &Config) -> Result<DirLock, String> {
    let folder = &config.server.state_dir;
    create_private_dir(folder).map_err(|e| in_state_dir(config, "", &e))?;
    let lock = DirLock::take(folder).map_err(|e| in_state_dir(config, "lock", &e))?;
    make_private(folder);
    Ok(lock)
}

/// Keys and tokens are in it. What others were able to read or write is made private, and that is said.
fn make_private(folder: &Path) {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let mut found = LaxModes::default();
    entries.iter().filter(|entry| is_ours(entry)).for_each(|entry| mend_modes(entry, &mut found));
    if fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        // A folder that is shared is not shut to those who share it.
        let shared = entries.iter().find(|entry| !is_ours(entry) && !entry.ends_with("lost+found"));
        let shut = match shared {
            Some(other) => Err(io::Error::other(format!("{} is in it, which is not edgectl's", other.display()))),
            None => fs::set_permissions(folder, Permissions::from_mode(0o700)),
        };
        match shut {
            Ok(()) => found.mended.push(folder.to_owned()),
            Err(error) => found.left.push((folder.to_owned(), error)),
        }
    }
    let LaxModes { mended, left } = found;
    if let Some(first) = mended.first() {
        tracing::warn!(
            first = %first.display(),
            count = mended.len(),
            "state_dir was open to other users of the machine and is private now (0700, files 0600); if they are not trusted, \
             keys in it may be known"
        );
    }
    for (path, error) in left {
        tracing::warn!(path = %path.display(), %error, "other users of the machine can read or change it: chmod go= it");
    }
}

/// Whether a name in `state_dir` is one that the daemon gives.
fn is_ours(path: &Path) -> bool {
    const NAMES: [&str; 7] = ["state.json", "history.jsonl", "token.key", "ca", "acme", "lock", "spool"];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split_once(".damaged-").map_or(&*name, |(stem, _)| stem);
    let is_old = stem.strip_prefix("history.jsonl.").is_some_and(|number| number.parse::<u32>().is_ok());
    NAMES.contains(&stem) || is_old || ["state.tmp", "token.tmp"].contains(&stem)
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
