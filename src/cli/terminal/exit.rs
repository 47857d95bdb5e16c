//! The exit codes that scripts branch on, and which refusal ends in which.

use std::process::ExitCode;

use crate::admin::{ClientError, Code};

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

impl From<Code> for Exit {
    fn from(code: Code) -> Self {
        match code {
            Code::GateNotPassed => Self::GateNotPassed,
            Code::Conflict | Code::GenerationConflict | Code::Overtaken => Self::Conflict,
            Code::NoSuchService
            | Code::NoSuchCertificate
            | Code::NotColored
            | Code::InvalidConfig
            | Code::BadRequest
            | Code::BodyTooLarge
            | Code::UnknownColor
            | Code::BadDuration => Self::Usage,
            Code::NoPrevious
            | Code::NoHost
            | Code::ServesAlready
            | Code::NotDurable
            | Code::NotIssued
            | Code::ShuttingDown
            | Code::NoSuchPath
            | Code::MethodNotAllowed
            | Code::Internal
            | Code::Unknown => Self::Failed,
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
