//! Requests a second of both colours over the last minutes, and where the generation changed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many points are kept: five minutes at one a second.
const KEPT: usize = 300;

/// The trail of one service.
#[derive(Debug, Default)]
pub struct Trail {
    points: VecDeque<Point>,
    /// How many points were dropped. By it columns keep their bounds while the trail moves on.
    forgotten: usize,
    last: Option<Look>,
}

/// What one status has said.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub at: Instant,
    /// Requests so far, by colour.
    pub requests: [u64; 2],
    pub generation: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Point {
    rates: [Option<f64>; 2],
    switched_to: Option<u64>,
}

/// One column of the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Column {
    /// Requests a second, by colour; `None` where nothing was seen.
    pub rates: [Option<f64>; 2],
    /// The generation that began here.
    pub switched_to: Option<u64>,
}

impl Trail {
    pub fn push(&mut self, look: Look) {
        let mut point = Point::default();
        if let Some(last) = self.last {
            let span = look.at.saturating_duration_since(last.at);
            point.rates = std::array::from_fn(|color| rate(last.requests[color], look.requests[color], span));
            point.switched_to = look.generation.filter(|_| look.generation != last.generation);
        }
        self.last = Some(look);
        self.add(point);
    }

    /// A look without a status.
    pub fn skip(&mut self) {
        self.add(Point::default());
    }

    fn add(&mut self, point: Point) {
        self.points.push_back(point);
        if self.points.len() > KEPT {
            self.points.pop_front();
            self.forgotten += 1;
        }
    }

    /// All points in at most `width` columns, oldest first.
    pub fn columns(&self, width: usize) -> Vec<Column> {
        if width == 0 {
            return Vec::new();
        }
        // One column less, because the first and the last may be incomplete.
        let each = KEPT.div_ceil((width - 1).max(1));
        let mut columns: Vec<Column> = Vec::new();
        let mut bound = usize::MAX;
        let mut parts: Vec<Point> = Vec::new();
        for (index, point) in self.points.iter().enumerate() {
            let of = (self.forgotten + index) / each;
            if of != bound && !parts.is_empty() {
                columns.push(column(&parts));
                parts.clear();
            }
            bound = of;
            parts.push(*point);
        }
        if !parts.is_empty() {
            columns.push(column(&parts));
        }
        columns.split_off(columns.len().saturating_sub(width))
    }
}

/// `None` if the count fell, because the daemon has restarted.
fn rate(before: u64, now: u64, span: Duration) -> Option<f64> {
    let gained = now.checked_sub(before)?;
    (!span.is_zero()).then(|| gained as f64 / span.as_secs_f64())
}

fn column(points: &[Point]) -> Column {
    let mean = |color: usize| {
        let seen: Vec<f64> = points.iter().filter_map(|point| point.rates[color]).collect();
        (!seen.is_empty()).then(|| seen.iter().sum::<f64>() / seen.len() as f64)
    };
    Column { rates: [mean(0), mean(1)], switched_to: points.iter().rev().find_map(|point| point.switched_to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(trail: &mut Trail, begin: Instant, seconds: std::ops::Range<u64>, generation: u64) {
        for second in seconds {
            let at = begin + Duration::from_secs(second);
            trail.push(Look { at, requests: [second * 10, 0], generation: Some(generation) });
        }
    }

    #[test]
    fn rates_and_switches_are_seen() {
        let (mut trail, begin) = (Trail::default(), Instant::now());
        looks(&mut trail, begin, 0..3, 1);
        looks(&mut trail, begin, 3..4, 2);
        trail.skip();
        let columns = trail.columns(1_000);
        let seen = Column { rates: [Some(10.0), Some(0.0)], switched_to: None };
        let blind = Column::default();
        assert_eq!(columns, [blind, seen, seen, Column { switched_to: Some(2), ..seen }, blind]);
    }

    #[test]
    fn a_restart_of_the_daemon_is_no_flood() {
        let (mut trail, begin) = (Trail::default(), Instant::now());
        looks(&mut trail, begin, 5..6, 1);
        looks(&mut trail, begin, 0..1, 1);
        assert!(trail.columns(1_000).iter().all(|column| column.rates[0].is_none()));
    }

    #[test]
    fn any_width_holds_what_is_remembered() {
        let (mut trail, begin) = (Trail::default(), Instant::now());
        looks(&mut trail, begin, 0..1_000, 1);
        for width in 0..400 {
            let columns = trail.columns(width);
            assert!(columns.len() <= width, "{} in {width}", columns.len());
            assert!(width < 10 || columns.len() * 3 > width.min(KEPT), "{} in {width}", columns.len());
        }
    }
}
