//! A model of the switch: every order of a few operations' steps, tried against the real ledger and the real plans.
//!
//! What an operation does between two waits is one step here. Where it waits (for a gate, the disk, a watch, a drain), steps of
//! others may come in between. Every state that a start can lead to is visited.

use std::collections::HashSet;
use std::time::SystemTime;

use super::ledger::{LedgerEntry, TrafficLedger};
use super::plan;
use crate::service::{Active, Canary};
use crate::types::Color;

/// One operation, or a drain or course that it has started, and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    Asked(ModelGoal),
    /// At the gate, with the hold.
    Gate {
        goal: ModelGoal,
        hold: LedgerEntry,
        from: Color,
    },
    /// Has passed the gate or needs none: waits for the disk's lock.
    Ready {
        goal: ModelGoal,
        hold: Option<LedgerEntry>,
        from: Color,
    },
    /// A course that is about to move the traffic.
    Moves {
        course: Course,
    },
    /// Has the disk's lock and writes.
    Writes {
        by: Writing,
        next: Serving,
    },
    Watches {
        course: Course,
    },
    Drains {
        entry: LedgerEntry,
        color: Color,
        is_cut: bool,
    },
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ModelGoal {
    Switch(Color),
    /// A switch that goes by a canary's step.
    Steps(Color),
    Canary(Color),
    CanaryOff,
    /// A change that moves no traffic, such as a pause.
    Else,
}

/// A watch after a flip, or the steps before one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Course {
    entry: LedgerEntry,
    from: Color,
    to: Color,
    /// A rollout keeps its hold until it ends; a watch has none.
    hold: Option<LedgerEntry>,
    want: Want,
    /// How often the traffic had moved when this course moved it last.
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
    Operation { goal: ModelGoal, hold: Option<LedgerEntry>, from: Color },
    Course(Course),
}

/// The part of an [`Active`] that differs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Serving {
    color: Color,
    previous: Option<Color>,
    generation: u64,
    canary: Option<(Color, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ModelState {
    now: Serving,
    ledger: TrafficLedger<()>,
    tasks: Vec<Task>,
    /// Pools that a drain has cut.
    cut: [bool; 2],
    moves: u32,
}

impl Serving {
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

impl ModelState {
    fn start(goals: &[ModelGoal]) -> Self {
        let now = Serving { color: Color::Blue, previous: None, generation: 1, canary: None };
        let tasks = goals.iter().map(|goal| Task::Asked(*goal)).collect();
        Self { now, ledger: TrafficLedger::default(), tasks, cut: [false; 2], moves: 0 }
    }

    /// Every state that one step of one task leads to.
    fn successors(&self) -> Vec<Self> {
        let is_writing = self.tasks.iter().any(|task| matches!(task, Task::Writes { .. }));
        let mut next = Vec::new();
        for index in 0..self.tasks.len() {
            let mut state = self.clone();
            let task = state.tasks.swap_remove(index);
            match task {
                Task::Asked(goal) => next.push(state.asked(goal)),
                Task::Gate { goal, hold, from } => {
                    next.push(state.clone().passed(goal, hold, from));
                    state.ledger.release(hold);
                    next.push(state);
                }
                Task::Ready { .. } | Task::Moves { .. } if is_writing => {}
                Task::Ready { goal, hold, from } => next.push(state.decide(goal, hold, from)),
                Task::Moves { course } => next.push(state.decide_course(course)),
                Task::Writes { by, next: written } => {
                    // The disk may refuse: nothing has changed, and the writing task ends.
                    next.push(state.clone().end(by));
                    next.push(state.publish(by, written));
                }
                Task::Watches { course } => next.extend(state.watch(course)),
                Task::Drains { entry, color, is_cut } => next.extend(state.drain(entry, color, is_cut)),
            }
        }
        next
    }

    fn with(mut self, task: Task) -> Self {
        self.tasks.push(task);
        self
    }

    fn asked(mut self, goal: ModelGoal) -> Self {
        let from = self.now.color;
        if matches!(goal, ModelGoal::CanaryOff | ModelGoal::Else) {
            return self.with(Task::Ready { goal, hold: None, from });
        }
        let Ok(hold) = self.ledger.hold(()) else { return self };
        if goal == ModelGoal::Switch(from) || goal == ModelGoal::Steps(from) || goal == ModelGoal::Canary(from) {
            self.ledger.release(hold);
            return self;
        }
        self.with(Task::Gate { goal, hold, from })
    }

    fn passed(mut self, goal: ModelGoal, hold: LedgerEntry, from: Color) -> Self {
        if let ModelGoal::Steps(to) = goal {
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
        self.with(Task::Ready { goal, hold: Some(hold), from })
    }

    /// Under the disk's lock: decides what to write, from what serves now.
    fn decide(self, goal: ModelGoal, hold: Option<LedgerEntry>, from: Color) -> Self {
        let now = self.now.active();
        let next = match goal {
            ModelGoal::Steps(_) => None,
            ModelGoal::Switch(to) => plan::flip("app", &now, from, to, SystemTime::UNIX_EPOCH).ok(),
            ModelGoal::Canary(color) => plan::canary("app", &now, color, 5).ok(),
            ModelGoal::CanaryOff => now.canary.map(|_| plan::no_canary(&now)),
            ModelGoal::Else => Some(now),
        };
        let by = Writing::Operation { goal, hold, from };
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
        assert!(next.is_none() || moves == self.moves, "a course moved what another operation has moved: {self:?}");
        let by = Writing::Course(course);
        match next {
            Some(next) => self.write(by, &next),
            None => self.end(by),
        }
    }

    fn write(self, by: Writing, next: &Active) -> Self {
        let next = Serving { generation: self.now.generation + 1, ..Serving::of(next) };
        self.with(Task::Writes { by, next })
    }

    /// Ends without a change and releases what it held.
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

    /// Publishes, notes it in the ledger, and starts what follows. It is one step, because there is no wait in it.
    fn publish(mut self, by: Writing, written: Serving) -> Self {
        assert_eq!(written.generation, self.now.generation + 1, "a change was lost: {self:?}");
        self.now = written;
        let after = written.active();
        for color in Color::ALL.into_iter().filter(|color| after.sends_to(*color)) {
            self.cut[color.index()] = false;
        }
        match by {
            Writing::Operation { goal: ModelGoal::Else, .. } => self,
            Writing::Operation { goal, hold, from } => {
                self.moves += 1;
                self.ledger.traffic_moved(&after, None);
                let mut state = match goal {
                    ModelGoal::Switch(to) => self.begin_drain(from).begin_watch(from, to),
                    ModelGoal::CanaryOff => self.begin_drain(after.color.other()),
                    _ => self,
                };
                if let Some(hold) = hold {
                    state.ledger.release(hold);
                }
                state
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

    /// The pool empties; or its deadline passes first, it is cut, and then it empties.
    fn drain(mut self, entry: LedgerEntry, color: Color, is_cut: bool) -> Vec<Self> {
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
        assert!(self.now.generation >= before.now.generation, "the generation went back: {before:?} {self:?}");
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

/// Visits every state. Returns how many there are, and how many of them are ends.
fn explore(goals: &[ModelGoal]) -> (usize, usize) {
    let mut seen = HashSet::new();
    let mut open = vec![ModelState::start(goals)];
    let mut ends = 0;
    while let Some(state) = open.pop() {
        let successors = state.successors();
        if successors.is_empty() {
            ends += 1;
            assert!(state.tasks.is_empty(), "no task can go on: {state:?}");
            assert!(state.ledger.is_at_rest(), "something is left in the ledger: {state:?}");
            assert_eq!(state.cut, [false; 2], "left cut: {state:?}");
        }
        for next in successors {
            next.check(&state);
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    (seen.len(), ends)
}

const GOALS: [ModelGoal; 8] = [
    ModelGoal::Switch(Color::Green),
    ModelGoal::Switch(Color::Blue),
    ModelGoal::Steps(Color::Green),
    ModelGoal::Steps(Color::Blue),
    ModelGoal::Canary(Color::Green),
    ModelGoal::Canary(Color::Blue),
    ModelGoal::CanaryOff,
    ModelGoal::Else,
];

#[test]
fn no_order_of_three_operations_goes_wrong() {
    let (mut states, mut ends) = (0, 0);
    for (i, first) in GOALS.iter().enumerate() {
        for (j, second) in GOALS.iter().enumerate().skip(i) {
            for third in &GOALS[j..] {
                let found = explore(&[*first, *second, *third]);
                states += found.0;
                ends += found.1;
            }
        }
    }
    println!("{states} states, {ends} ends");
    assert!(states > 100_000 && ends > 1_000, "too few to mean anything: {states} states, {ends} ends");
}

#[test]
fn no_order_of_a_whole_deploy_with_changes_of_mind_goes_wrong() {
    let to_green = [ModelGoal::Steps(Color::Green), ModelGoal::CanaryOff, ModelGoal::Switch(Color::Green)];
    explore(&[&to_green[..], &[ModelGoal::Switch(Color::Blue)]].concat());
}
