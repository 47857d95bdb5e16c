//! The exit codes that scripts branch on, and which refusal ends in which.

use std::process::ExitCode;

use crate::admin::{ClientError, ProblemCode};

/// Stable: scripts compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// The command has said why.
    Failed = 1,
    /// Usage, or an invalid config.
    Usage = 2,
    NotReachable = 3,
    /// Nothing has changed.
    GateNotPassed = 4,
    /// A switch runs, the generation differs, or another operation has moved the traffic meanwhile.
    Conflict = 5,
    /// Switched, then rolled back by the watch.
    RolledBack = 6,
    /// The socket's permissions.
    NotAllowed = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<ProblemCode> for Exit {
    fn from(code: ProblemCode) -> Self {
        match code {
            ProblemCode::GateNotPassed => Self::GateNotPassed,
            ProblemCode::Conflict
            | ProblemCode::GenerationConflict
            | ProblemCode::Overtaken
            | ProblemCode::RolledBackFrom => Self::Conflict,
            ProblemCode::NoSuchService
            | ProblemCode::NoSuchCertificate
            | ProblemCode::NotColored
            | ProblemCode::InvalidConfig
            | ProblemCode::BadRequest
            | ProblemCode::BodyTooLarge
            | ProblemCode::UnknownColor
            | ProblemCode::BadDuration => Self::Usage,
            ProblemCode::NoPrevious
            | ProblemCode::NoHost
            | ProblemCode::ServesAlready
            | ProblemCode::NotDurable
            | ProblemCode::NotIssued
            | ProblemCode::ShuttingDown
            | ProblemCode::NoSuchPath
            | ProblemCode::MethodNotAllowed
            | ProblemCode::Internal
            | ProblemCode::Unknown => Self::Failed,
        }
    }
}

impl From<&ClientError> for Exit {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::NotReachable { .. } => Self::NotReachable,
            ClientError::NotAllowed { .. } => Self::NotAllowed,
            ClientError::Problem(problem) => problem.code.into(),
            ClientError::BrokenOff { .. } => Self::Failed,
        }
    }
}
