//! Why a command did not do what was asked: an exit code, a text for people, a problem for programs.

use serde_json::{Value, json};

use super::exit::Exit;
use crate::admin::ClientError;
use crate::config::Diagnostics;

/// The end of a command that failed.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// Lower case, what and what to do; or diagnostics as they are shown.
    pub text: String,
    /// Whether `text` is diagnostics, which say themselves that they are errors.
    pub is_rendered: bool,
    problem: Value,
}

impl Failure {
    pub fn failed(text: impl Into<String>) -> Self {
        Self::new(Exit::Failed, "failed", text)
    }

    /// The arguments can't be followed.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", text)
    }

    /// Exit 5: someone else has been at it.
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(Exit::Conflict, "conflict", text)
    }

    /// Exit 6.
    pub fn rolled_back(text: impl Into<String>) -> Self {
        Self::new(Exit::RolledBack, "rolled_back", text)
    }

    /// The same, but what there is to say has been said on stdout.
    pub fn told(mut self) -> Self {
        self.text.clear();
        self
    }

    /// Exit 2: a config that is refused.
    pub fn invalid_config(diagnostics: &Diagnostics, color: bool) -> Self {
        let found = serde_json::to_value(diagnostics).unwrap_or_default();
        let problem = json!({ "code": "invalid_config", "detail": diagnostics.render(false), "diagnostics": found });
        Self { exit: Exit::Usage, text: diagnostics.render(color), is_rendered: true, problem }
    }

    /// `{"event":"error","problem":{...,"exit":N}}`, the last line of any command with `--json` that failed.
    pub fn to_json(&self) -> Value {
        let mut problem = self.problem.clone();
        problem["exit"] = json!(self.exit as u8);
        json!({ "event": "error", "problem": problem })
    }

    fn new(exit: Exit, code: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        let problem = json!({ "code": code, "detail": text });
        Self { exit, text, is_rendered: false, problem }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = Exit::from(&error);
        let code = match &error {
            ClientError::Problem(problem) => {
                let text = problem.detail.clone();
                let json = serde_json::to_value(problem).unwrap_or_default();
                return Self { exit, text, is_rendered: problem.diagnostics.is_some(), problem: json };
            }
            ClientError::NotReachable { .. } => "not_reachable",
            ClientError::NotAllowed { .. } => "not_allowed",
            ClientError::BrokenOff { .. } => "broken_off",
        };
        Self::new(exit, code, error.to_string())
    }
}
