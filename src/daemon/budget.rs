//! What the machine gives, taken up at the start: the limit of open files is raised, and a share of it set apart for the daemon; the limit
//! of memory is said, with what follows from it; the folder of the spool is made.

use std::sync::Arc;

use crate::config::Config;
use crate::resources::{Descriptors, memory_limit, raise_descriptor_limit};
use crate::spool::check_folder;
use crate::state::create_private_dir;

/// What a worker opens for its runtime and its log, beside its handle on each listening socket.
const OF_A_WORKER: usize = 6;

/// What the daemon opens once: state, history, admin socket, metrics, watched files.
const OF_THE_DAEMON: usize = 16;

/// Raises the limit, and answers with what is left of it for clients and the connections made for them. Warns where that is less than the
/// config allows.
pub(super) fn descriptors(config: &Config) -> Arc<Descriptors> {
    let listeners = config.server.http.len() + config.server.https.len();
    let coming = OF_THE_DAEMON + listeners + config.server.workers * (OF_A_WORKER + listeners);
    let descriptors = Descriptors::within(raise_descriptor_limit(), coming);
    if let Some(warning) = descriptors.warning(config.limits.connections) {
        tracing::warn!("{warning}");
    }
    descriptors
}

/// Says how many connections the limit of memory allows, if there is one.
pub(super) fn say_memory(config: &Config) {
    if let Some(limit) = memory_limit() {
        let (mib, connections) = (limit >> 20, config.limits.connections);
        tracing::info!(mib, connections, "the control group limits the memory");
    }
}

/// Makes the folder of the spool. Answers with a warning where it can't be used: what is too large for memory passes as fast as the slower side
/// then.
pub(super) fn spool_warning(config: &Config) -> Option<String> {
    let spool = &config.limits.spool;
    if spool.size == 0 {
        return None;
    }
    let folder = spool.dir.display();
    let error = create_private_dir(&spool.dir).and_then(|()| check_folder(&spool.dir)).err()?;
    Some(format!(
        "spool_dir {folder} can't be used: {error}; bodies that are too large for memory pass as fast as the slower side; make it writable, name \
         another [limits] spool_dir, or set spool_size = \"0\""
    ))
}
