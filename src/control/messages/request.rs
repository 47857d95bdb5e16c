//! What is asked of a service.

use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use super::actor::Actor;
use crate::types::Color;

/// One operation as asked for.
#[derive(Debug, Clone)]
pub struct OperationRequest {
    pub service: String,
    pub goal: Goal,
    pub actor: Actor,
    pub reason: Option<String>,
    /// Refused unless this is the present generation.
    pub if_generation: Option<u64>,
    pub options: OperationOptions,
}

/// What the service is to do afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    To(Color),
    /// Back to the colour that served before; while there is a canary, the end of the canary.
    Previous,
    /// Pass the gate and change nothing.
    GateOnly(Color),
    Canary {
        color: Color,
        percent: u8,
    },
    CanaryOff,
    /// Each request is held this long at most.
    Pause {
        max: Duration,
    },
    Resume,
    MaintenanceOn {
        message: Option<String>,
        allow: Vec<IpNet>,
    },
    MaintenanceOff,
    /// Preview links of this colour are valid until then.
    Preview {
        color: Color,
        until: SystemTime,
    },
}

/// How an operation is to go about it. `None` means: as the service's `switch` section says.
#[derive(Debug, Clone, Default)]
pub struct OperationOptions {
    /// For the gate. For a pause: how long to wait until nothing is in flight.
    pub timeout: Option<Duration>,
    pub drain: Option<Duration>,
    pub watch: Option<Duration>,
    /// Shares of a canary before the flip, in per cent; empty: none.
    pub steps: Vec<u8>,
    /// How long each step is watched.
    pub step_time: Option<Duration>,
    /// Skips the gate.
    pub force: bool,
    /// A rollback even to a colour that was rolled back from.
    pub anyway: bool,
    /// Whether to answer only when the watch has ended and the old colour has drained.
    pub wait: bool,
}

impl Goal {
    /// Whether it needs two colours to choose from.
    pub fn needs_colors(&self) -> bool {
        !matches!(self, Self::Pause { .. } | Self::Resume | Self::MaintenanceOn { .. } | Self::MaintenanceOff)
    }
}
