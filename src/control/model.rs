//! A model of the switch: every order of a few operations' steps, tried against the real ledger and the real plans.
//!
//! What an operation does between two waits is one step here; where the operator waits (for a gate, the disk, a watch, a
//! drain) anything else may come in between. All worlds that a start can lead to are visited.

use std::collections::HashSet;
use std::time::SystemTime;

use super::ledger::{Entry, Ledger};
use super::plan;
use crate::service::{Active, Canary};
use crate::types::Color;

/// One operation, or what it has left running, and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    Asked(Ask),
    /// At the gate, with the hold.
    Gate {
        ask: Ask,
        hold: Entry,
        from: Color,
    },
    /// Through it, or in need of none: waits for the disk's lock.
    Ready {
        ask: Ask,
        hold: Option<Entry>,
        from: Color,
    },
    /// A course that is about to move the traffic.
    Moves {
        course: Course,
    },
    /// Holds the disk's lock, writes.
    Writes {
        by: Writing,
        next: Next,
    },
    Watches {
        course: Course,
    },
    Drains {
        entry: Entry,
        color: Color,
        is_cut: bool,
    },
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ask {
    Switch(Color),
    /// By way of a canary's step.
    Steps(Color),
    Canary(Color),
    CanaryOff,
    /// A change that moves no traffic: a pause, say.
    Else,
}

/// A watch after a flip, or the steps before one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Course {
    entry: Entry,
    from: Color,
    to: Color,
    /// The hold that a rollout keeps on its way; a watch has none.
    hold: Option<Entry>,
    want: Want,
    /// The moves of the traffic when it was last its own.
    moves: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Want {
    Step,
    Top,
    Back,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Writing {
    Operation { ask: Ask, hold: Option<Entry>, from: Color },
    Course(Course),
}

/// An [`Active`], as far as it can differ here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Next {
    color: Color,
    previous: Option<Color>,
    generation: u64,
    canary: Option<(Color, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    now: Next,
    ledger: Ledger<()>,
    tasks: Vec<Task>,
    /// Pools that a drain has cut.
    cut: [bool; 2],
    moves: u32,
}

impl Next {
    fn of(active: &Active) -> Self {
        let canary = active.canary.map(|canary| (canary.color, canary.id));
        let Active { color, previous, generation, .. } = *active;
        Self { color, previous, generation, canary }
    }

    fn active(self) -> Active {
        let canary = self.canary.map(|(color, id)| Canary { color, percent: 5, id });
        Active { previous: self.previous, canary, ..Active::new(self.color, self.generation, SystemTime::UNIX_EPOCH) }
    }
}

impl World {
    fn start(asks: &[Ask]) -> Self {
        let now = Next { color: Color::Blue, previous: None, generation: 1, canary: None };
        let tasks = asks.iter().map(|ask| Task::Asked(*ask)).collect();
        Self { now, ledger: Ledger::default(), tasks, cut: [false; 2], moves: 0 }
    }

    /// Every world that one step of one task leads to.
    fn successors(&self) -> Vec<Self> {
        let is_writing = self.tasks.iter().any(|task| matches!(task, Task::Writes { .. }));
        let mut next = Vec::new();
        for index in 0..self.tasks.len() {
            let mut world = self.clone();
            let task = world.tasks.swap_remove(index);
            match task {
                Task::Asked(ask) => next.push(world.asked(ask)),
                Task::Gate { ask, hold, from } => {
                    next.push(world.clone().passed(ask, hold, from));
                    world.ledger.release(hold);
                    next.push(world);
                }
                Task::Ready { .. } | Task::Moves { .. } if is_writing => {}
                Task::Ready { ask, hold, from } => next.push(world.decide(ask, hold, from)),
                Task::Moves { course } => next.push(world.decide_course(course)),
                Task::Writes { by, next: written } => {
                    // The disk may refuse: nothing has changed, and whoever asked ends.
                    next.push(world.clone().end(by));
                    next.push(world.publish(by, written));
                }
                Task::Watches { course } => next.extend(world.watch(course)),
                Task::Drains { entry, color, is_cut } => next.extend(world.drain(entry, color, is_cut)),
            }
        }
        next
    }

    fn with(mut self, task: Task) -> Self {
        self.tasks.push(task);
        self
    }

    fn asked(mut self, ask: Ask) -> Self {
        let from = self.now.color;
        if matches!(ask, Ask::CanaryOff | Ask::Else) {
            return self.with(Task::Ready { ask, hold: None, from });
        }
        let Ok(hold) = self.ledger.hold(()) else { return self };
        if ask == Ask::Switch(from) || ask == Ask::Steps(from) || ask == Ask::Canary(from) {
            self.ledger.release(hold);
            return self;
        }
        self.with(Task::Gate { ask, hold, from })
    }

    fn passed(mut self, ask: Ask, hold: Entry, from: Color) -> Self {
        if let Ask::Steps(to) = ask {
            let course = Course {
                entry: self.ledger.begin_course(),
                from,
                to,
                hold: Some(hold),
                want: Want::Step,
                moves: self.moves,
            };
            return self.with(Task::Moves { course });
        }
        self.with(Task::Ready { ask, hold: Some(hold), from })
    }

    /// With the disk's lock: what is to be written, from what serves now.
    fn decide(self, ask: Ask, hold: Option<Entry>, from: Color) -> Self {
        let now = self.now.active();
        let next = match ask {
            Ask::Steps(_) => None,
            Ask::Switch(to) => plan::flip("app", &now, from, to, SystemTime::UNIX_EPOCH).ok(),
            Ask::Canary(color) => plan::canary("app", &now, color, 5).ok(),
            Ask::CanaryOff => now.canary.map(|_| plan::no_canary(&now)),
            Ask::Else => Some(now),
        };
        let by = Writing::Operation { ask, hold, from };
        match next {
            Some(next) => self.write(by, &next),
            None => self.end(by),
        }
    }

    fn decide_course(self, course: Course) -> Self {
        let now = self.now.active();
        let Course { entry, from, to, hold, want, moves } = course;
        let next = match (want, hold) {
            _ if !self.ledger.is_on(entry) => None,
            (Want::Step, _) => plan::canary("app", &now, to, 5).ok(),
            (Want::Top, _) => plan::flip("app", &now, from, to, SystemTime::UNIX_EPOCH).ok(),
            (Want::Back, Some(_)) => Some(plan::no_canary(&now)),
            (Want::Back, None) => plan::flip("app", &now, to, from, SystemTime::UNIX_EPOCH).ok(),
        };
        assert!(next.is_none() || moves == self.moves, "moves what someone else has moved: {self:?}");
        let by = Writing::Course(course);
        match next {
            Some(next) => self.write(by, &next),
            None => self.end(by),
        }
    }

    fn write(self, by: Writing, next: &Active) -> Self {
        let next = Next { generation: self.now.generation + 1, ..Next::of(next) };
        self.with(Task::Writes { by, next })
    }

    /// Gives up what it held, having changed nothing.
    fn end(mut self, by: Writing) -> Self {
        let hold = match by {
            Writing::Operation { hold, .. } => hold,
            Writing::Course(course) => {
                self.ledger.end_course(course.entry);
                course.hold
            }
        };
        if let Some(hold) = hold {
            self.ledger.release(hold);
        }
        self
    }

    /// Published, in the books, and what follows is begun: one step, for there is no wait in it.
    fn publish(mut self, by: Writing, written: Next) -> Self {
        assert_eq!(written.generation, self.now.generation + 1, "a change was lost: {self:?}");
        self.now = written;
        let after = written.active();
        for color in Color::ALL.into_iter().filter(|color| after.sends_to(*color)) {
            self.cut[color.index()] = false;
        }
        match by {
            Writing::Operation { ask: Ask::Else, .. } => self,
            Writing::Operation { ask, hold, from } => {
                self.moves += 1;
                self.ledger.traffic_moved(&after, None);
                let mut world = match ask {
                    Ask::Switch(to) => self.begin_drain(from).begin_watch(from, to),
                    Ask::CanaryOff => self.begin_drain(after.color.other()),
                    _ => self,
                };
                if let Some(hold) = hold {
                    world.ledger.release(hold);
                }
                world
            }
            Writing::Course(course) => {
                self.moves += 1;
                self.ledger.traffic_moved(&after, Some(course.entry));
                match course.want {
                    Want::Step => {
                        let course = Course { moves: self.moves, ..course };
                        self.with(Task::Watches { course })
                    }
                    Want::Top => {
                        let Course { from, to, .. } = course;
                        self.end(by).begin_drain(from).begin_watch(from, to)
                    }
                    Want::Back => self.end(by).begin_drain(course.to),
                }
            }
        }
    }

    fn begin_drain(mut self, color: Color) -> Self {
        let entry = self.ledger.begin_drain(color);
        self.with(Task::Drains { entry, color, is_cut: false })
    }

    fn begin_watch(mut self, from: Color, to: Color) -> Self {
        let course =
            Course { entry: self.ledger.begin_course(), from, to, hold: None, want: Want::Back, moves: self.moves };
        self.with(Task::Watches { course })
    }

    fn watch(self, course: Course) -> Vec<Self> {
        let by = Writing::Course(course);
        if !self.ledger.is_on(course.entry) {
            return vec![self.end(by)];
        }
        let back = self.clone().with(Task::Moves { course: Course { want: Want::Back, ..course } });
        let passed = if course.hold.is_some() {
            self.with(Task::Moves { course: Course { want: Want::Top, ..course } })
        } else {
            self.end(by)
        };
        vec![back, passed]
    }

    /// Empties, or passes its deadline; then empties all the same.
    fn drain(mut self, entry: Entry, color: Color, is_cut: bool) -> Vec<Self> {
        if !self.ledger.is_draining(entry) {
            return vec![self];
        }
        let mut next = Vec::new();
        if !is_cut {
            assert!(!self.now.active().sends_to(color), "cut while it serves: {self:?}");
            let mut cut = self.clone();
            cut.cut[color.index()] = true;
            next.push(cut.with(Task::Drains { entry, color, is_cut: true }));
        }
        self.cut[color.index()] = false;
        self.ledger.end_drain(entry);
        next.push(self);
        next
    }

    fn check(&self, before: &Self) {
        let now = self.now.active();
        assert!(self.now.generation >= before.now.generation, "back in time: {before:?} {self:?}");
        assert_eq!(now.canary.filter(|canary| canary.color == now.color), None, "a canary of what serves: {self:?}");
        for color in Color::ALL {
            assert!(!(self.cut[color.index()] && now.sends_to(color)), "{color} serves and is cut: {self:?}");
        }
        let drains = self
            .tasks
            .iter()
            .filter(|task| matches!(task, Task::Drains { entry, .. } if self.ledger.is_draining(*entry)));
        let colors: Vec<_> =
            drains.map(|task| if let Task::Drains { color, .. } = task { *color } else { now.color }).collect();
        assert!(colors.len() <= 1 && colors.iter().all(|color| !now.sends_to(*color)), "drains what serves: {self:?}");
    }
}

/// Visits every world; answers how many there are, and how many ends.
fn explore(asks: &[Ask]) -> (usize, usize) {
    let mut seen = HashSet::new();
    let mut open = vec![World::start(asks)];
    let mut ends = 0;
    while let Some(world) = open.pop() {
        let successors = world.successors();
        if successors.is_empty() {
            ends += 1;
            assert!(world.tasks.is_empty(), "nobody can go on: {world:?}");
            assert!(world.ledger.is_at_rest(), "something is left in the books: {world:?}");
            assert_eq!(world.cut, [false; 2], "left cut: {world:?}");
        }
        for next in successors {
            next.check(&world);
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    (seen.len(), ends)
}

const ASKS: [Ask; 8] = [
    Ask::Switch(Color::Green),
    Ask::Switch(Color::Blue),
    Ask::Steps(Color::Green),
    Ask::Steps(Color::Blue),
    Ask::Canary(Color::Green),
    Ask::Canary(Color::Blue),
    Ask::CanaryOff,
    Ask::Else,
];

#[test]
fn no_order_of_three_operations_goes_wrong() {
    let (mut worlds, mut ends) = (0, 0);
    for (i, first) in ASKS.iter().enumerate() {
        for (j, second) in ASKS.iter().enumerate().skip(i) {
            for third in &ASKS[j..] {
                let found = explore(&[*first, *second, *third]);
                worlds += found.0;
                ends += found.1;
            }
        }
    }
    println!("{worlds} worlds, {ends} ends");
    assert!(worlds > 100_000 && ends > 1_000, "too few to mean anything: {worlds} worlds, {ends} ends");
}

#[test]
fn no_order_of_a_whole_deploy_with_second_thoughts_goes_wrong() {
    explore(&[Ask::Steps(Color::Green), Ask::CanaryOff, Ask::Switch(Color::Green), Ask::Switch(Color::Blue)]);
}
