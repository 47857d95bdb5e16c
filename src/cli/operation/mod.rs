//! What the commands share that ask for an operation: their arguments, their progress, the sentence at their end.
//!
//! `arguments` and `target` are what is typed, `run` asks the daemon, `progress` shows the steps, `describe` says how it ended.

mod arguments;
mod describe;
mod progress;
mod run;
mod target;

pub use arguments::{ChangeOptions, GateAndDrain, ServiceChange};
pub use describe::{cuts, describe};
pub use progress::step_text;
pub use run::run;
pub use target::{ColorTarget, ColorWords, Preferred};
