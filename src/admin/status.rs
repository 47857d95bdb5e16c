//! The daemon's state in the words of the wire. Reads only; takes no lock longer than a copy.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use jiff::Timestamp;

use super::state::AdminState;
use super::wire::{
    BackendStatus, CertificateSource, CertificateStatus, EjectedStatus, Left, PoolStatus, ProbeStatus, ServiceStatus,
    Status, Unresolved,
};
use crate::http::{Census, Kind, Tally};
use crate::service::{Active, Backend, Ejected, Pool, Probe, Service};
use crate::tls::{CertStatus, Source};

/// Everything, as it is now.
pub(super) async fn status(state: &AdminState) -> Status {
    let snapshot = state.shared.snapshot.load_full();
    let pools: Arc<[Arc<Pool>]> = snapshot.services.values().flat_map(|service| service.pools()).cloned().collect();
    let mut inside = (state.census)(pools).await.into_iter();
    let services = snapshot.services.values().map(|service| service_status(service, &mut inside));
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: state.config_path.to_path_buf(),
        started: state.started,
        ready: (state.ready)(),
        connections: state.admissions.open(),
        services: services.collect(),
        certificates: certificates(state),
        listeners: state.listeners.load().to_vec(),
    }
}

pub(super) fn certificates(state: &AdminState) -> Vec<CertificateStatus> {
    state.certificates.status().into_iter().map(certificate_status).collect()
}

/// `inside`: of each pool, in their order.
fn service_status(service: &Service, inside: &mut impl Iterator<Item = Census>) -> ServiceStatus {
    let active = service.is_colored().then(|| service.active());
    let active = active.as_deref();
    ServiceStatus {
        name: service.name().to_string(),
        active: active.map(|a| a.color),
        previous: active.and_then(|a| a.previous),
        idle: active.map(|a| a.color.other()),
        generation: active.map(|a| a.generation),
        since: active.and_then(|a| timestamp(a.since)),
        pools: service.pools().map(|pool| pool_status(pool, active, inside.next().as_ref())).collect(),
    }
}

fn pool_status(pool: &Pool, active: Option<&Active>, inside: Option<&Census>) -> PoolStatus {
    let in_flight = pool.in_flight();
    let serves = active.is_none_or(|active| pool.color() == Some(active.color));
    let failed = pool.targets().into_iter().filter_map(|target| {
        let address = target.addr.to_string();
        target.error.map(|error| Unresolved { address, error })
    });
    PoolStatus {
        color: pool.color(),
        in_flight,
        queued: pool.queue().len(),
        draining: !serves && in_flight > 0,
        left: inside.into_iter().flat_map(Census::present).map(left).collect(),
        backends: pool.backends().iter().map(|backend| backend_status(backend)).collect(),
        unresolved: failed.collect(),
    }
}

fn left((kind, tally): (Kind, Tally)) -> Left {
    Left { kind, count: tally.count, oldest_seconds: tally.oldest.as_secs() }
}

fn backend_status(backend: &Backend) -> BackendStatus {
    let health = backend.health();
    BackendStatus {
        address: backend.addr().to_string(),
        endpoint: backend.name().to_string(),
        up: health.up,
        last_probe: health.last.and_then(probe_status),
        ejected: backend.ejected().map(ejected_status),
        in_flight: backend.in_flight(),
    }
}

fn ejected_status(ejected: Ejected) -> EjectedStatus {
    let left = ejected.until.saturating_duration_since(Instant::now());
    EjectedStatus { seconds_left: left.as_secs_f64().ceil() as u64, why: ejected.why }
}

fn probe_status(probe: Probe) -> Option<ProbeStatus> {
    Some(ProbeStatus {
        at: timestamp(probe.at)?,
        took_ms: u64::try_from(probe.took.as_millis()).unwrap_or(u64::MAX),
        passed: probe.outcome.passed(),
        outcome: probe.outcome.to_string(),
    })
}

fn certificate_status(found: CertStatus) -> CertificateStatus {
    let (source, file) = match found.source {
        Source::File(path) => (CertificateSource::File, Some(path)),
        Source::Internal => (CertificateSource::Internal, None),
    };
    CertificateStatus {
        names: found.names,
        source,
        file,
        issuer: found.issuer,
        not_after: found.not_after.and_then(timestamp),
        error: found.error,
    }
}

/// `None` for a clock beyond the year 9999.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok()
}
