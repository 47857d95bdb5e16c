//! Why issuance would fail: each thing that it depends on is looked at from here, and gets a verdict and advice.
//!
//! [`examine`] does the looking; what a finding means is judged purely, a file for each check. Never makes an account or an
//! order, never touches a certificate, and gives way to a validation that runs. All of it is bounded: in time, in addresses, in
//! how much is looked at side by side.

mod caa;
mod cdn;
mod clock;
mod directory;
mod dns;
mod examination;
mod finding;
mod hook;
mod limits;
mod names;
mod reach;

pub use examination::examine;
pub use finding::{Check, Diagnosis, DoctorQuestion, Finding, Mark};
