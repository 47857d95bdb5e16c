//! What serves next, from what serves now and what is asked for. Pure.
//!
//! The writer calls these after it has taken the disk's lock and before it publishes; it also counts the generation.

use std::time::SystemTime;

use crate::control::messages::OperationRefused;
use crate::service::{Active, Canary};
use crate::types::Color;

/// All traffic goes from `from` to `to`. This ends a canary; pause and maintenance stay. Refused when another operation has
/// moved the traffic meanwhile.
pub fn flip(service: &str, now: &Active, from: Color, to: Color, at: SystemTime) -> Result<Active, OperationRefused> {
    if now.color != from || from == to {
        return Err(OperationRefused::Overtaken { service: service.to_owned(), present: now.generation });
    }
    Ok(Active { color: to, previous: Some(from), rolled_back: None, since: at, canary: None, ..now.clone() })
}

/// The same, because `from` is not what should serve: no rollback leads to it again.
pub fn flip_back(
    service: &str,
    now: &Active,
    from: Color,
    to: Color,
    at: SystemTime,
) -> Result<Active, OperationRefused> {
    Ok(Active { rolled_back: Some(at), ..flip(service, now, from, to, at)? })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now(canary: Option<Canary>) -> Active {
        Active { canary, ..Active::new(Color::Blue, 7, SystemTime::UNIX_EPOCH) }
    }

    fn canary_of(color: Color, percent: u8, id: u64) -> Canary {
        Canary { color, percent, id }
    }

    #[test]
    fn a_flip_moves_all_traffic_and_ends_a_canary() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let next = flip("app", &now(Some(canary_of(Color::Green, 5, 3))), Color::Blue, Color::Green, at).unwrap();
        assert_eq!((next.color, next.previous, next.since, next.canary), (Color::Green, Some(Color::Blue), at, None));
        assert_eq!(next.generation, 7, "the writer counts it");
    }

    #[test]
    fn a_flip_from_what_does_not_serve_is_overtaken() {
        for (from, to) in [(Color::Green, Color::Blue), (Color::Blue, Color::Blue), (Color::Green, Color::Green)] {
            let refused = flip("app", &now(None), from, to, SystemTime::UNIX_EPOCH).unwrap_err();
            assert!(matches!(refused, OperationRefused::Overtaken { present: 7, .. }), "{refused}");
        }
    }

    #[test]
    fn a_canary_keeps_its_id_while_its_colour_stays() {
        let next = canary("app", &now(None), Color::Green, 5).unwrap();
        assert_eq!(next.canary, Some(canary_of(Color::Green, 5, 8)), "the id of a new one is its generation");
        let next = canary("app", &now(Some(canary_of(Color::Green, 5, 3))), Color::Green, 25).unwrap();
        assert_eq!(next.canary, Some(canary_of(Color::Green, 25, 3)));
        assert_eq!(no_canary(&next).canary, None);
        assert_eq!(no_canary(&next).color, Color::Blue);
    }

    #[test]
    fn a_canary_is_of_the_colour_that_does_not_serve() {
        let refused = canary("app", &now(None), Color::Blue, 5).unwrap_err();
        assert!(matches!(refused, OperationRefused::ServesAlready { color: Color::Blue, .. }), "{refused}");
    }

    #[test]
    fn a_generation_is_compared_if_it_is_named() {
        assert!(
            check_generation("app", &now(None), None).is_ok() && check_generation("app", &now(None), Some(7)).is_ok()
        );
        let refused = check_generation("app", &now(None), Some(6)).unwrap_err();
        assert!(matches!(refused, OperationRefused::Generation { present: 7, asked: 6, .. }), "{refused}");
    }
}
