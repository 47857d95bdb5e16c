//! What serves next, from what serves now and what is asked for. Pure.
//!
//! The writer calls these after it has taken the disk's lock and before it publishes; it also counts the generation.

use std::time::SystemTime;

use crate::control::messages::OperationRefused;
use crate::service::{Active, Canary};
use crate::types::Color;

/// All traffic goes from `from` to `to`. This ends a canary; pause and maintenance stay. OperationRefused when another operation has
/// moved the traffic meanwhile.
pub fn flip(service: &str, now: &Active, from: Color, to: Color, at: SystemTime) -> Result<Active, OperationRefused> {
    if now.color != from || from == to {
        return Err(OperationRefused::Overtaken { service: service.to_owned(), present: now.generation });
    }
    Ok(Active { color: to, previous: Some(from), since: at, canary: None, ..now.clone() })
}

/// `percent` of the clients go to `color`. Clients that are there already stay there: the canary keeps its id as long as its
/// colour stays the same.
pub fn canary(service: &str, now: &Active, color: Color, percent: u8) -> Result<Active, OperationRefused> {
    if color == now.color {
        return Err(OperationRefused::ServesAlready { service: service.to_owned(), color });
    }
    let id = now.canary.filter(|canary| canary.color == color).map_or(now.generation + 1, |canary| canary.id);
    Ok(Active { canary: Some(Canary { color, percent, id }), ..now.clone() })
}

/// Every client goes to the colour that serves.
pub fn no_canary(now: &Active) -> Active {
    Active { canary: None, ..now.clone() }
}

/// Compare and set: refused if `asked` is given and is not the present generation.
pub fn check_generation(service: &str, now: &Active, asked: Option<u64>) -> Result<(), OperationRefused> {
    match asked.filter(|asked| *asked != now.generation) {
        Some(asked) => {
            Err(OperationRefused::Generation { service: service.to_owned(), present: now.generation, asked })
        }
        None => Ok(()),
    }
}
