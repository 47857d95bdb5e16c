//! Why a command has failed: an exit code, a text for people, a problem for programs.

use serde::Serialize;
use serde_json::{Value, json};

use super::exit::Exit;
use super::table::printable_lines;
use crate::admin::ClientError;
use crate::config::Diagnostics;

/// The end of a command that failed.
#[derive(Debug, Clone)]
pub struct CommandFailure {
    pub exit: Exit,
    /// Lower case: what is wrong, and what to do. Or rendered diagnostics.
    pub text: String,
    /// Whether `text` is rendered diagnostics, which begin with `error:` themselves.
    pub is_rendered: bool,
    problem: Value,
}

/// The codes that commands add to those of the admin API. Stable: scripts compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum FailureCode {
    Failed,
    Usage,
    Conflict,
    RolledBack,
    InvalidConfig,
    NotReachable,
    NotAllowed,
    BrokenOff,
}

impl CommandFailure {
    pub fn failed(text: impl Into<String>) -> Self {
        Self::new(Exit::Failed, FailureCode::Failed, text)
    }

    /// What it was about to print is lost, whatever it has done.
    pub fn unwritten(error: &str) -> Self {
        Self::failed(format!("the output could not be written: {error}; is what stdout leads to full?"))
    }

    /// Exit 2: the arguments make no sense.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, FailureCode::Usage, text)
    }

    /// Exit 5: another operation came between.
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(Exit::Conflict, FailureCode::Conflict, text)
    }

    /// Exit 6.
    pub fn rolled_back(text: impl Into<String>) -> Self {
        Self::new(Exit::RolledBack, FailureCode::RolledBack, text)
    }

    /// The same, but stdout has said it already.
    pub fn told(mut self) -> Self {
        self.text.clear();
        self
    }

    /// Exit 2: a config that is refused.
    pub fn invalid_config(diagnostics: &Diagnostics, color: bool) -> Self {
        let found = serde_json::to_value(diagnostics).unwrap_or_default();
        let problem =
            json!({ "code": FailureCode::InvalidConfig, "detail": diagnostics.render(false), "diagnostics": found });
        Self { exit: Exit::Usage, text: diagnostics.render(color), is_rendered: true, problem }
    }

    /// `{"event":"error","problem":{...,"exit":N}}`, the last line of any command with `--json` that failed.
    pub fn to_json(&self) -> Value {
        let mut problem = self.problem.clone();
        problem["exit"] = json!(self.exit as u8);
        json!({ "event": "error", "problem": problem })
    }

    fn new(exit: Exit, code: FailureCode, text: impl Into<String>) -> Self {
        let text = text.into();
        let problem = json!({ "code": code, "detail": text });
        Self { exit, text, is_rendered: false, problem }
    }
}

impl From<ClientError> for CommandFailure {
    fn from(error: ClientError) -> Self {
        let exit = Exit::from(&error);
        let code = match &error {
            ClientError::Problem(problem) => {
                let text = printable_lines(&problem.detail);
                let json = serde_json::to_value(problem).unwrap_or_default();
                return Self { exit, text, is_rendered: problem.diagnostics.is_some(), problem: json };
            }
            ClientError::NotReachable { .. } => FailureCode::NotReachable,
            ClientError::NotAllowed { .. } => FailureCode::NotAllowed,
            ClientError::BrokenOff { .. } => FailureCode::BrokenOff,
        };
        Self::new(exit, code, error.to_string())
    }
}
