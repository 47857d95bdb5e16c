//! What all workers share, and the control runtime changes.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::challenge::Challenges;
use crate::metrics::Metrics;
use crate::resources::{BufferMemory, Descriptors};
use crate::snapshot::Snapshot;
use crate::spool::SpoolDisk;
use crate::token::Signer;

/// There is one for the whole process.
pub struct SharedState {
    pub snapshot: ArcSwap<Snapshot>,
    pub metrics: Arc<Metrics>,
    pub signer: Arc<Signer>,
    pub challenges: Arc<Challenges>,
    /// What client connections and those made for them may open.
    pub descriptors: Arc<Descriptors>,
    /// What is held in memory for who does not take it yet.
    pub buffers: Arc<BufferMemory>,
    /// What of that is too large for memory.
    pub spool: Arc<SpoolDisk>,
}
