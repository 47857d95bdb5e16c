//! The composition root: everything made once, in order, and taken down in order.
//!
//! Two kinds of threads: the workers, which serve, and this one, the control runtime, which probes, resolves, switches,
//! reloads and answers the admin socket. If the control runtime stalls, no request is affected.

mod admin_socket;
mod admin_view;
mod budget;
mod filewatch;
mod following;
mod listeners;
mod log;
mod named_files;
mod observe;
mod readiness;
mod reload;
mod running;
mod services;
mod state_dir;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

use crate::config::{self, Diagnostics, Loaded};
use running::Daemon;

/// How often certificates and ticket keys are checked for those whose time is over: often, so that it is soon after a machine has
/// slept, too.
const RENEWAL: Duration = Duration::from_mins(5);

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Exit 2.
    #[error("{0}")]
    Config(Diagnostics),
    /// Exit 1.
    #[error("{0}")]
    Failed(String),
}

/// Serves until SIGTERM or SIGINT, then lets what runs finish within `shutdown_timeout`.
pub fn serve(config_path: &Path) -> Result<(), ServeError> {
    serve_until(config_path, std::future::pending())
}

/// As [`serve`], and until `stop` is ready.
pub fn serve_until(config_path: &Path, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    let seen = filewatch::fingerprint(config_path);
    let loaded = config::load(config_path).map_err(ServeError::Config)?;
    log::start(&loaded.config.log.level).map_err(|e| ServeError::Failed(format!("cannot start the log: {e}")))?;
    for warning in loaded.warnings.iter() {
        tracing::warn!(config = %config_path.display(), "{}", warning.message);
    }
    // Idle memory before speed: huge pages under an allocator keep what it has freed.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| ServeError::Failed(format!("cannot start a runtime: {e}")))?;
    let local = LocalSet::new();
    let ended = catch_unwind(AssertUnwindSafe(|| local.block_on(&runtime, run(config_path, seen, loaded, stop))));
    log::flush();
    ended.unwrap_or_else(|_| Err(ServeError::Failed("the control runtime has panicked: see its last lines".to_owned())))
}

async fn run(config_path: &Path, seen: u64, loaded: Loaded, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    // Before the listeners open: from then on a stop may be asked for.
    let fail = |e: std::io::Error| ServeError::Failed(format!("cannot listen for signals: {e}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    let hangup = signal(SignalKind::hangup()).map_err(fail)?;
    let reopen = signal(SignalKind::user_defined1()).map_err(fail)?;
    // A file that may not grow any more (`ulimit -f`) is an error of the write then, and no end of the process.
    let _too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map_err(fail)?;
    let daemon = Daemon::start(config_path, seen, loaded).await.map_err(ServeError::Failed)?;
    // A reload that waits for backends is dropped: a stop does not wait for it.
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = stop => Ok(()),
        () = live(&daemon, hangup, reopen) => Ok(()),
        why = daemon.workers.lost() => Err(ServeError::Failed(format!("{why}; the others have finished what they served"))),
    };
    daemon.shut_down().await;
    ended
}

/// Does what is asked for, and what is due by the clock. Never ends.
async fn live(daemon: &Rc<Daemon>, mut hangup: Signal, mut reopen: Signal) {
    let mut asked = daemon.open_admin();
    let mut changes = daemon.watch_files();
    let mut renew = tokio::time::interval(RENEWAL);
    let mut look = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            _ = hangup.recv() => { daemon.reload("SIGHUP").await.ok(); }
            _ = reopen.recv() => daemon.reopen_logs(),
            Some(request) = asked.recv() => daemon.reload_for(request).await,
            Some(()) = changes.recv() => daemon.files_changed().await,
            _ = renew.tick() => {
                let _ = daemon.renew_certificates();
                daemon.rotate_tickets();
                daemon.admin.keep();
            }
            _ = look.tick(), if !daemon.is_ready() => daemon.look_whether_ready(),
        }
    }
}
