//! The words of the metrics: results of `edge_switches_total`, phases of `edge_switch_duration_seconds`.

use crate::control::disk::HistoryResult;
use crate::control::messages::{OperationRefused, OperationResult, VerdictKind};

/// A result that `edge_switches_total` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchResult {
    Switched,
    Forced,
    Inconclusive,
    RolledBack,
    Refused,
    Conflict,
    Failed,
}

/// A part of a switch whose time is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchPhase {
    Gate,
    Flip,
    Watch,
    Drain,
}

impl SwitchResult {
    /// A flip; `None` for what is no flip.
    pub fn of_flip(result: &OperationResult) -> Option<Self> {
        match result {
            OperationResult::Switched => Some(Self::Switched),
            OperationResult::Forced => Some(Self::Forced),
            _ => None,
        }
    }

    /// A verdict that counts beside its flip.
    pub fn of_verdict(kind: VerdictKind) -> Option<Self> {
        match kind {
            VerdictKind::Inconclusive => Some(Self::Inconclusive),
            VerdictKind::RolledBack => Some(Self::RolledBack),
            VerdictKind::Passed | VerdictKind::Failed | VerdictKind::Ended => None,
        }
    }

    pub fn of_refusal(refused: &OperationRefused) -> Self {
        match refused {
            OperationRefused::Conflict { .. }
            | OperationRefused::Generation { .. }
            | OperationRefused::Overtaken { .. }
            | OperationRefused::TakenBack { .. }
            | OperationRefused::RolledBackFrom { .. }
            | OperationRefused::Replaced { .. } => Self::Conflict,
            OperationRefused::Gate(_)
            | OperationRefused::NoPrevious { .. }
            | OperationRefused::ServesAlready { .. } => Self::Refused,
            OperationRefused::NoSuchService { .. }
            | OperationRefused::NotColored { .. }
            | OperationRefused::NotDurable { .. }
            | OperationRefused::StuckAtStep { .. }
            | OperationRefused::ShuttingDown
            | OperationRefused::ShuttingDownAtStep { .. } => Self::Failed,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switched => "switched",
            Self::Forced => "forced",
            Self::Inconclusive => "inconclusive",
            Self::RolledBack => "rolled-back",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

impl From<SwitchResult> for HistoryResult {
    fn from(result: SwitchResult) -> Self {
        match result {
            SwitchResult::Switched => Self::Switched,
            SwitchResult::Forced => Self::Forced,
            SwitchResult::Inconclusive => Self::Inconclusive,
            SwitchResult::RolledBack => Self::RolledBack,
            SwitchResult::Refused => Self::Refused,
            SwitchResult::Conflict => Self::Conflict,
            SwitchResult::Failed => Self::Failed,
        }
    }
}

impl SwitchPhase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Flip => "flip",
            Self::Watch => "watch",
            Self::Drain => "drain",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_one_word_in_the_history_and_in_the_metrics() {
        use SwitchResult::{Conflict, Failed, Forced, Inconclusive, Refused, RolledBack, Switched};
        for result in [Switched, Forced, Inconclusive, RolledBack, Refused, Conflict, Failed] {
            assert_eq!(HistoryResult::from(result).as_str(), result.as_str());
        }
    }

    #[test]
    fn a_flip_counts_once_and_its_verdict_only_if_it_says_more() {
        assert_eq!(SwitchResult::of_flip(&OperationResult::Switched), Some(SwitchResult::Switched));
        assert_eq!(SwitchResult::of_flip(&OperationResult::Forced), Some(SwitchResult::Forced));
        assert_eq!(SwitchResult::of_flip(&OperationResult::Unchanged), None);
        assert_eq!(SwitchResult::of_verdict(VerdictKind::RolledBack), Some(SwitchResult::RolledBack));
        assert_eq!(SwitchResult::of_verdict(VerdictKind::Inconclusive), Some(SwitchResult::Inconclusive));
        for kind in [VerdictKind::Passed, VerdictKind::Failed, VerdictKind::Ended] {
            assert_eq!(SwitchResult::of_verdict(kind), None);
        }
    }
}
