//! The admin socket of this process. It is made again if it was removed.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use tokio::task::JoinSet;

use crate::admin::{self, AdminState};
use crate::management::Closing;
use crate::supervise;

/// The admin socket as it was configured at the start; a reload does not move it.
pub(super) struct AdminSocket {
    path: PathBuf,
    /// Bound, and nothing answers on it yet.
    bound: Cell<Option<UnixListener>>,
    /// What is shown there, once it answers.
    state: RefCell<Option<AdminState>>,
    /// What answers; dropped, it ends.
    answering: RefCell<JoinSet<()>>,
    closing: Closing,
}

impl AdminSocket {
    pub fn new(path: &Path, bound: UnixListener) -> Self {
        Self {
            path: path.to_owned(),
            bound: Cell::new(Some(bound)),
            state: RefCell::default(),
            answering: RefCell::default(),
            closing: Closing::default(),
        }
    }

    /// Answers on the bound socket, and on each that is made again.
    pub fn open(&self, state: AdminState) {
        self.state.replace(Some(state.clone()));
        if let Some(listener) = self.bound.take() {
            self.answer(listener, state);
        }
    }

    /// Makes the socket again if it was removed: without it no switch is possible until the next start.
    pub fn keep(&self) {
        let is_gone = matches!(self.path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
        let (true, Some(state)) = (is_gone, self.state.borrow().clone()) else { return };
        match admin::bind(&self.path) {
            Ok(listener) => {
                tracing::warn!(path = %self.path.display(), "the admin socket was removed, and is made again");
                self.answer(listener, state);
            }
            Err(error) => tracing::error!(%error, "the admin socket was removed"),
        }
    }

    /// Removes the socket, and gives the answers that are under way the time to be sent.
    pub async fn close(&self, limit: Duration) {
        let _ = fs::remove_file(&self.path);
        self.closing.close(limit).await;
    }

    /// Ends with the control runtime: an operation that runs then goes on without a caller. Answers that are under way on a
    /// socket that was removed go on, too.
    fn answer(&self, listener: UnixListener, state: AdminState) {
        let (metrics, closing) = (state.shared.metrics.clone(), self.closing.clone());
        let serve = move || {
            let (listener, state, closing) = (listener.try_clone(), state.clone(), closing.clone());
            async move {
                let served = async { admin::serve(listener?, state, closing).await };
                served.await.map_or_else(|error| error.to_string(), |never| match never {})
            }
        };
        self.answering.borrow_mut().spawn_local(supervise::keep_running("admin", metrics, serve));
    }
}
