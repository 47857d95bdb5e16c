//! Arguments that several operations take.

use std::time::Duration;

use crate::types::parse_duration;

/// What every change of a service takes: compare and set, and a word for the history.
#[derive(Debug, clap::Args)]
pub struct ChangeOptions {
    /// Refuse unless the service is at this generation
    #[arg(long, value_name = "N")]
    pub if_generation: Option<u64>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A change of a service, and nothing else.
#[derive(Debug, clap::Args)]
pub struct ServiceChange {
    /// The service, where there are several
    pub service: Option<String>,
    #[command(flatten)]
    pub change: ChangeOptions,
}

/// A change that passes a gate or starts a drain. Its command may have a `--no-wait` beside it.
#[derive(Debug, clap::Args)]
pub struct GateAndDrain {
    /// How long the gate may take [default: the service's switch.timeout]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// How long the colour that loses its clients may finish what runs [default: the service's switch.drain]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub drain: Option<Duration>,
    #[command(flatten)]
    pub change: ChangeOptions,
}
