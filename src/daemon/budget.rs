//! What the machine gives, taken up at the start: the limit of open files is raised, and a share of it set apart for the daemon.

use std::sync::Arc;

use crate::config::Config;
use crate::resources::{Descriptors, raise_descriptor_limit};

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
