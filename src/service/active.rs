//! What serves, and the pure choice of a colour for one exchange.
//!
//! Owns no state that changes in place: an [`Active`] is replaced as a whole. Opens nothing, reads no clock. Made in
//! `control`, asked by [`super::Service::enter`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use crate::types::Color;

/// What serves, since when: replaced as a whole, by one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    pub color: Color,
    /// Counts the changes of what serves; starts at 1 and survives restarts.
    pub generation: u64,
    /// What served before: where `rollback` goes.
    pub previous: Option<Color>,
    /// When the previous colour was rolled back from, if it was: a rollback does not lead there again.
    pub rolled_back: Option<SystemTime>,
    /// When this colour began to serve.
    pub since: SystemTime,
    pub canary: Option<Canary>,
    pub paused: Option<Pause>,
    pub maintenance: Option<Arc<Maintenance>>,
    /// Until when a preview link that was handed out may still be valid.
    pub preview_until: Option<SystemTime>,
}

/// A share of clients goes to the other colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canary {
    pub color: Color,
    /// 0 to 100.
    pub percent: u8,
    /// The generation that began it: what a client has drawn holds for as long as this stays, whatever the share.
    pub id: u64,
}

/// New requests wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// How long one request is held before it is refused.
    pub max: Duration,
    pub since: SystemTime,
}

/// New requests are refused at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// For the page.
    pub message: Option<String>,
    /// The clients that pass nevertheless.
    pub allow: Vec<IpNet>,
    pub since: SystemTime,
}

/// What is known of a client when a colour is chosen for its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    pub client: IpAddr,
    /// From a preview's token, verified.
    pub preview: Option<Color>,
    /// From a canary's cookie, verified; a new one is drawn where there is none.
    pub ticket: Option<Ticket>,
    /// Whether `ticket` was drawn for this visit, so that its client has yet to get it.
    pub is_new: bool,
}

/// What a client has drawn in a canary's lottery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// [`Canary::id`].
    pub id: u64,
    /// Below [`TICKETS`]: goes to the canary when below its share of them.
    pub number: u16,
}

/// How many numbers there are to draw.
pub const TICKETS: u16 = 10_000;

/// Why an exchange is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The colour that serves.
    Active,
    Canary,
    Preview,
    /// The colour that serves has no healthy backend.
    Failover,
    /// It was to go to the canary, which has no healthy backend.
    Fallback,
}

impl Way {
    /// Whether the other colour may take a request that this one could not; `failover`: as the service is configured.
    pub fn may_turn(self, failover: bool) -> bool {
        match self {
            Self::Active => failover,
            Self::Canary => true,
            Self::Preview | Self::Failover | Self::Fallback => false,
        }
    }

    /// Whether the drain of its colour ignores it, while that colour does not serve.
    pub fn is_guest(self) -> bool {
        matches!(self, Self::Preview | Self::Failover)
    }
}

/// Why an exchange does not enter now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shut {
    /// It is to be held, for this long at most.
    Paused(Duration),
    Maintenance(Arc<Maintenance>),
}

impl Visit {
    pub fn of(client: IpAddr) -> Self {
        Self { client, preview: None, ticket: None, is_new: false }
    }
}

impl Active {
    /// Serves `color` and nothing special.
    pub fn new(color: Color, generation: u64, since: SystemTime) -> Self {
        Self {
            color,
            generation,
            previous: None,
            rolled_back: None,
            since,
            canary: None,
            paused: None,
            maintenance: None,
            preview_until: None,
        }
    }

    /// Whether every visit at `now` goes to `color`.
    pub fn is_plain(&self, now: SystemTime) -> bool {
        let previews = self.preview_until.is_some_and(|until| until > now);
        self.canary.is_none() && self.paused.is_none() && self.maintenance.is_none() && !previews
    }

    /// Whether a deploy's share of the traffic, if not all of it, goes to `color`.
    pub fn sends_to(&self, color: Color) -> bool {
        self.color == color || self.canary.is_some_and(|canary| canary.color == color)
    }

    /// The maintenance that this visit meets.
    pub fn maintenance_for(&self, visit: &Visit) -> Option<&Arc<Maintenance>> {
        let is_allowed = |maintenance: &Maintenance| maintenance.allow.iter().any(|net| net.contains(&visit.client));
        self.maintenance.as_ref().filter(|maintenance| visit.preview.is_none() && !is_allowed(maintenance))
    }

    /// The colour for one visit: maintenance before pause before preview before canary before the colour that serves; then,
    /// where a pool has no healthy backend, what stands in for it. `draw` makes a ticket number for a new client.
    pub fn choose(
        &self,
        visit: &mut Visit,
        draw: impl FnOnce() -> u16,
        is_healthy: impl Fn(Color) -> bool,
        failover: bool,
    ) -> Result<(Color, Way), Shut> {
        if let Some(maintenance) = self.maintenance_for(visit) {
            return Err(Shut::Maintenance(maintenance.clone()));
        }
        if let Some(pause) = &self.paused {
            return Err(Shut::Paused(pause.max));
        }
        if let Some(color) = visit.preview {
            return Ok((color, Way::Preview));
        }
        let mut way = Way::Active;
        if let Some(canary) = self.canary
            && canary.takes(visit, draw)
        {
            if is_healthy(canary.color) {
                return Ok((canary.color, Way::Canary));
            }
            way = Way::Fallback;
        }
        if failover && !is_healthy(self.color) && is_healthy(self.color.other()) {
            return Ok((self.color.other(), Way::Failover));
        }
        Ok((self.color, way))
    }
}

impl Canary {
    fn takes(&self, visit: &mut Visit, draw: impl FnOnce() -> u16) -> bool {
        let ticket = match visit.ticket.filter(|ticket| ticket.id == self.id) {
            Some(ticket) => ticket,
            None => {
                visit.is_new = true;
                *visit.ticket.insert(Ticket { id: self.id, number: draw() })
            }
        };
        u32::from(ticket.number) * 100 < u32::from(self.percent) * u32::from(TICKETS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active() -> Active {
        Active::new(Color::Blue, 1, SystemTime::UNIX_EPOCH)
    }

    fn visit() -> Visit {
        Visit::of("192.0.2.1".parse().unwrap())
    }

    fn canary(percent: u8) -> Active {
        Active { canary: Some(Canary { color: Color::Green, percent, id: 7 }), ..active() }
    }

    fn chosen(active: &Active, visit: &mut Visit, number: u16) -> (Color, Way) {
        active.choose(visit, || number, |_| true, false).unwrap()
    }

    #[test]
    fn a_share_is_strict_at_its_ends() {
        for (percent, number, color) in [
            (0, 0, Color::Blue),
            (1, 99, Color::Green),
            (1, 100, Color::Blue),
            (50, 4_999, Color::Green),
            (50, 5_000, Color::Blue),
            (100, TICKETS - 1, Color::Green),
        ] {
            assert_eq!(chosen(&canary(percent), &mut visit(), number).0, color, "{percent} {number}");
        }
    }

    #[test]
    fn a_ticket_is_kept_and_a_larger_share_keeps_its_clients() {
        let mut visit = visit();
        assert_eq!(chosen(&canary(5), &mut visit, 400), (Color::Green, Way::Canary));
        assert!(visit.is_new);
        visit.is_new = false;
        assert_eq!(chosen(&canary(25), &mut visit, 9_999), (Color::Green, Way::Canary));
        assert!(!visit.is_new, "drawn once");
        assert_eq!(chosen(&canary(1), &mut visit, 0), (Color::Blue, Way::Active));
    }

    #[test]
    fn a_ticket_of_an_earlier_canary_is_ignored() {
        let mut visit = Visit { ticket: Some(Ticket { id: 3, number: 0 }), ..visit() };
        assert_eq!(chosen(&canary(50), &mut visit, 9_000).0, Color::Blue);
        assert_eq!(visit.ticket, Some(Ticket { id: 7, number: 9_000 }));
    }

    #[test]
    fn another_colour_stands_in_for_an_unhealthy_one() {
        let sick = |color: Color| move |asked: Color| asked != color;
        let choose =
            |active: &Active, sick_one, failover| active.choose(&mut visit(), || 0, sick(sick_one), failover).unwrap();
        assert_eq!(choose(&canary(100), Color::Green, false), (Color::Blue, Way::Fallback));
        assert_eq!(choose(&active(), Color::Blue, true), (Color::Green, Way::Failover));
        assert_eq!(choose(&active(), Color::Blue, false), (Color::Blue, Way::Active));
        let none = active().choose(&mut visit(), || 0, |_| false, true).unwrap();
        assert_eq!(none, (Color::Blue, Way::Active), "no colour can stand in");
    }

    #[test]
    fn maintenance_comes_first_and_lets_allowed_clients_pass() {
        let maintenance =
            Maintenance { message: None, allow: vec!["192.0.2.0/24".parse().unwrap()], since: SystemTime::UNIX_EPOCH };
        let pause = Pause { max: Duration::from_secs(30), since: SystemTime::UNIX_EPOCH };
        let closed = Active { maintenance: Some(Arc::new(maintenance)), ..canary(0) };
        assert_eq!(chosen(&closed, &mut visit(), 0), (Color::Blue, Way::Active), "allowed");
        let mut stranger = Visit::of("198.51.100.1".parse().unwrap());
        let refused = closed.choose(&mut stranger, || 0, |_| true, false);
        assert!(matches!(refused, Err(Shut::Maintenance(_))), "{refused:?}");
        stranger.preview = Some(Color::Green);
        assert_eq!(chosen(&closed, &mut stranger, 0), (Color::Green, Way::Preview));
        let both = Active { paused: Some(pause), ..closed };
        assert_eq!(both.choose(&mut visit(), || 0, |_| true, false), Err(Shut::Paused(pause.max)));
    }

    #[test]
    fn it_is_plain_while_every_visit_goes_to_its_colour() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let pause = Pause { max: Duration::ZERO, since: now };
        let maintenance = Maintenance { message: None, allow: Vec::new(), since: now };
        for (active, is_plain) in [
            (active(), true),
            (canary(0), false),
            (Active { paused: Some(pause), ..active() }, false),
            (Active { maintenance: Some(Arc::new(maintenance)), ..active() }, false),
            (Active { preview_until: at(99), ..active() }, true),
            (Active { preview_until: at(100), ..active() }, true),
            (Active { preview_until: at(101), ..active() }, false),
        ] {
            assert_eq!(active.is_plain(now), is_plain, "{active:?}");
        }
    }

    #[test]
    fn traffic_is_sent_to_its_colour_and_to_its_canary() {
        assert!(active().sends_to(Color::Blue) && !active().sends_to(Color::Green));
        assert!(canary(5).sends_to(Color::Blue) && canary(5).sends_to(Color::Green));
        let back = Active { color: Color::Green, ..canary(5) };
        assert!(back.sends_to(Color::Green) && !back.sends_to(Color::Blue));
    }

    #[test]
    fn a_canary_may_always_turn_and_the_active_colour_where_the_service_has_it_so() {
        for (way, alone, with_failover, is_guest) in [
            (Way::Active, false, true, false),
            (Way::Canary, true, true, false),
            (Way::Preview, false, false, true),
            (Way::Failover, false, false, true),
            (Way::Fallback, false, false, false),
        ] {
            assert_eq!((way.may_turn(false), way.may_turn(true)), (alone, with_failover), "{way:?}");
            assert_eq!(way.is_guest(), is_guest, "{way:?}");
        }
    }
}
