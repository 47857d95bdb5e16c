//! What serves next: pure, from what serves now and what is asked for.
//!
//! The generation is counted by the [`super::Writer`], which calls these between the disk's lock and the publication.

use std::time::SystemTime;

use crate::service::Active;
use crate::types::Color;

/// The whole of the traffic goes to `to`; a canary ends with that, pause and maintenance stay.
pub(super) fn flip(now: &Active, to: Color, at: SystemTime) -> Active {
    Active { color: to, previous: Some(now.color), since: at, canary: None, ..now.clone() }
}
