//! The JSON of the admin API: what is asked and what is answered. Both ends use these types, so they can't drift apart.
//!
//! A duration that a person writes is text with a unit (`"30s"`); a duration that a program measured is milliseconds, in a field
//! that ends in `_ms`. Times are RFC 3339. Fields may be added; none is renamed or removed.
//!
//! `operations` has one body for each verb on a service, `lines` what a running operation streams, `problem` what a refusal
//! looks like; `status` and `certificates` are what is read.

mod certificates;
mod lines;
mod operations;
mod problem;
mod status;
mod written;

pub use certificates::{CaRoot, CertificateSource, CertificateStatus, Certificates, RenewRequest, RenewedCertificate};
pub use lines::{HistoryRecords, NDJSON, OperationEnd, PreviewLink, StreamLine};
pub use operations::{
    CanaryBody, GateBody, MaintenanceBody, PauseBody, PreviewBody, ResumeBody, RollbackBody, ServiceVerb, SwitchBody,
    VerbBody,
};
pub(super) use problem::MEDIA_TYPE;
pub use problem::{Problem, ProblemCode};
pub use status::{
    BackendStatus, CanaryStatus, ConfigOnDisk, ConfigState, DetourStatus, EjectedStatus, HealthStatus, LeftInFlight,
    ListenerStatus, MaintenanceStatus, OpenExchanges, PauseStatus, PoolStatus, PoolTraffic, ProbeStatus, ServiceStatus,
    Status, UnresolvedName,
};
pub use written::Written;
