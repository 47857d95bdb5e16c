//! stub
use std::time::Duration;
pub struct Options {
    pub run_for: Duration,
    pub stay: bool,
    pub json: bool,
    pub color: bool,
}
pub fn run(_: &Options) -> Result<(), String> {
    Err("later".into())
}
