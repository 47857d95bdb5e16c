//! What was taken up of changed files without a reload, for whoever asks for the next one.
//!
//! A reload that is asked for a moment after the watch has seen the change would say that nothing has changed.

use std::collections::VecDeque;

use jiff::Timestamp;

/// Lines that are kept for the next reload.
const MOST: usize = 20;

/// What was taken up, the latest last.
#[derive(Debug, Default)]
pub struct TakenUp(VecDeque<(Timestamp, String)>);

impl TakenUp {
    pub fn note(&mut self, lines: &[String]) {
        self.0.extend(lines.iter().map(|line| (Timestamp::now(), line.clone())));
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
    }

    /// All of it, and forgets it.
    pub fn tell(&mut self) -> Vec<String> {
        self.0.drain(..).map(|(at, line)| format!("{line}; taken up at {at:.0}, when the file changed")).collect()
    }
}
