//! What serves next: pure, from what serves now and what is asked for.
//!
//! The generation is counted by the [`super::Writer`], which calls these between taking the disk's lock and publishing.

use std::time::SystemTime;

use super::operation::Refused;
use crate::service::{Active, Canary};
use crate::types::Color;

/// The whole of the traffic goes from `from` to `to`; a canary ends with that, pause and maintenance stay. Refused when
/// someone has moved it meanwhile.
pub(super) fn flip(service: &str, now: &Active, from: Color, to: Color, at: SystemTime) -> Result<Active, Refused> {
    if now.color != from || from == to {
        return Err(Refused::Overtaken { service: service.to_owned(), present: now.generation });
    }
    Ok(Active { color: to, previous: Some(from), since: at, canary: None, ..now.clone() })
}

/// `percent` of the clients go to `color`. Who is there already stays there: the canary keeps its id while it is of one
/// colour.
pub(super) fn canary(service: &str, now: &Active, color: Color, percent: u8) -> Result<Active, Refused> {
    if color == now.color {
        return Err(Refused::ServesAlready { service: service.to_owned(), color });
    }
    let id = now.canary.filter(|canary| canary.color == color).map_or(now.generation + 1, |canary| canary.id);
    Ok(Active { canary: Some(Canary { color, percent, id }), ..now.clone() })
}

/// Every client goes to the colour that serves.
pub(super) fn no_canary(now: &Active) -> Active {
    Active { canary: None, ..now.clone() }
}

/// Compare and set: refused unless `asked` is what serves now.
pub(super) fn check_generation(service: &str, now: &Active, asked: Option<u64>) -> Result<(), Refused> {
    match asked.filter(|asked| *asked != now.generation) {
        Some(asked) => Err(Refused::Generation { service: service.to_owned(), present: now.generation, asked }),
        None => Ok(()),
    }
}
