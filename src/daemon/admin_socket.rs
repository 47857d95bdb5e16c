//! The admin socket of this process. It is made again if it was removed.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::admin::{self, AdminState};

/// The admin socket as it was configured at the start; a reload does not move it.
pub(super) struct AdminSocket {
    path: PathBuf,
    /// Bound, and nothing answers on it yet.
    bound: Cell<Option<UnixListener>>,
    /// What is shown there, once it answers.
    state: RefCell<Option<AdminState>>,
}

impl AdminSocket {
    pub fn new(path: &Path, bound: UnixListener) -> Self {
        Self { path: path.to_owned(), bound: Cell::new(Some(bound)), state: RefCell::default() }
    }

    /// Answers on the bound socket, and on each that is made again.
    pub fn open(&self, state: AdminState) {
        self.state.replace(Some(state.clone()));
        if let Some(listener) = self.bound.take() {
            answer(listener, state);
        }
    }

    /// Makes the socket again if it was removed: without it no switch is possible until the next start.
    pub fn keep(&self) {
        let is_gone = matches!(self.path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
        let (true, Some(state)) = (is_gone, self.state.borrow().clone()) else { return };
        match admin::bind(&self.path) {
            Ok(listener) => {
                tracing::warn!(path = %self.path.display(), "the admin socket was removed, and is made again");
                answer(listener, state);
            }
            Err(error) => tracing::error!(%error, "the admin socket was removed"),
        }
    }

    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Ends with the control runtime: an operation that runs then goes on in no one's name.
fn answer(listener: UnixListener, state: AdminState) {
    tokio::spawn(async move {
        if let Err(error) = admin::serve(listener, state, std::future::pending()).await {
            tracing::error!(%error, "the admin socket has stopped");
        }
    });
}
