//! The bounds of `[limits]`, and how much of a body may be kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// 0: no bound.
    pub connections: usize,
    /// 0: no bound.
    pub connections_per_ip: usize,
    pub header_timeout: Duration,
    pub header_size: usize,
    pub headers: usize,
    pub body_size: u64,
    pub body_timeout: Duration,
    /// Bytes that are held for all connections together, for who does not take them yet.
    pub buffer_memory: usize,
    pub spool: Arc<SpoolConfig>,
    pub keepalive: Duration,
    pub keepalive_requests: u64,
    pub h2_streams: u32,
}

/// Where bodies are kept that are too large for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    pub dir: PathBuf,
    /// Of all such files together; 0: there are none.
    pub size: u64,
}

/// How much of a body is kept in memory ahead of its slower side, before the rest goes into a file; 0: none of it is kept at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferSizes {
    pub requests: usize,
    pub responses: usize,
}
