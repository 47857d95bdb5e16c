//! The daemon's state in the types of the wire. Only reads, and holds no lock for longer than a copy takes.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use crate::admin::state::AdminState;
use crate::admin::wire::{
    BackendStatus, CanaryStatus, CertificateSource, CertificateStatus, DetourStatus, EjectedStatus, LeftInFlight,
    MaintenanceStatus, OpenExchanges, PauseStatus, PoolStatus, PoolTraffic, ProbeStatus, ServiceStatus, Status,
    UnresolvedName,
};
use crate::metrics::{Metrics, Totals};
use crate::service::{Active, Backend, Detour, Ejected, Pool, Probe, Service};
use crate::tls::{CertSource, CertStatus};
use crate::trust::RootTrouble;
use crate::worker::{Census, CensusQuery, ExchangeKind, KindCount};

/// Rates and quantiles are over this time.
const LATELY: Duration = Duration::from_secs(10);

/// Everything, as it is now.
pub async fn status(state: &AdminState) -> Status {
    let snapshot = state.shared.snapshot.load_full();
    let pools: Arc<[Arc<Pool>]> = snapshot.services.values().flat_map(|service| service.pools()).cloned().collect();
    let mut inside = state.workers.census(CensusQuery::of(pools)).await.into_iter();
    let services =
        snapshot.services.values().map(|service| service_status(service, &state.shared.metrics, &mut inside));
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: state.config_path.to_path_buf(),
        config_on_disk: state.config_on_disk.load().as_ref().clone(),
        started: state.started,
        ready: (state.ready)(),
        connections: state.admissions.open(),
        services: services.collect(),
        certificates: certificates(state),
        client_ca_errors: texts(snapshot.roots.clients.troubles()),
        tls_ca_errors: texts(snapshot.roots.backends.troubles()),
        listeners: state.listeners.load().to_vec(),
    }
}

fn texts(troubles: &[RootTrouble]) -> Vec<String> {
    troubles.iter().map(|trouble| trouble.text.clone()).collect()
}

pub fn certificates(state: &AdminState) -> Vec<CertificateStatus> {
    state.certificates.status().into_iter().map(certificate_status).collect()
}

/// `inside`: what is in flight in each pool, in their order.
fn service_status(service: &Service, metrics: &Metrics, inside: &mut impl Iterator<Item = Census>) -> ServiceStatus {
    let now = service.active();
    let active = service.is_colored().then_some(&*now);
    let totals = metrics.totals(service.name());
    let pools = service.pools().zip(&totals).map(|(pool, totals)| {
        let traffic = traffic(service, pool, totals, metrics);
        pool_status(pool, active, traffic, inside.next().as_ref())
    });
    ServiceStatus {
        name: service.name().to_string(),
        active: active.map(|a| a.color),
        previous: active.and_then(|a| a.previous),
        idle: active.map(|a| a.color.other()),
        generation: active.map(|a| a.generation),
        since: active.and_then(|a| timestamp(a.since)),
        canary: now.canary.map(|canary| CanaryStatus { color: canary.color, percent: canary.percent }),
        paused: now.paused.map(|pause| PauseStatus {
            since: timestamp(pause.since),
            max_ms: u64::try_from(pause.max.as_millis()).unwrap_or(u64::MAX),
            held: service.held().len(),
        }),
        maintenance: now.maintenance.as_ref().map(|maintenance| MaintenanceStatus {
            since: timestamp(maintenance.since),
            message: maintenance.message.clone(),
            allow: maintenance.allow.iter().map(ToString::to_string).collect(),
        }),
        detour: service.detour().map(detour_status),
        preview_until: now.preview_until.and_then(timestamp),
        pools: pools.collect(),
    }
}

fn pool_status(pool: &Pool, active: Option<&Active>, traffic: PoolTraffic, inside: Option<&Census>) -> PoolStatus {
    let in_flight = pool.in_flight();
    let serves = active.zip(pool.color()).is_none_or(|(active, color)| active.sends_to(color));
    let failed = pool.targets().into_iter().filter_map(|target| {
        let (address, error) = (target.addr.to_string(), target.error().map(str::to_owned));
        error.map(|error| UnresolvedName { address, error })
    });
    PoolStatus {
        color: pool.color(),
        in_flight,
        queued: pool.queue().len(),
        draining: !serves && pool.residents() > 0,
        traffic,
        open: inside.map(open).unwrap_or_default(),
        left: inside.into_iter().flat_map(Census::present).map(left).collect(),
        backends: pool.backends().iter().map(|backend| backend_status(backend)).collect(),
        unresolved: failed.collect(),
    }
}

fn traffic(service: &Service, pool: &Pool, totals: &Totals, metrics: &Metrics) -> PoolTraffic {
    let (recents, now) = (metrics.recents(), Instant::now());
    let lately = recents.over(service.name(), pool.color(), LATELY, now).unwrap_or_default();
    let quantile = |of| lately.quantile(of).map(|took: Duration| to_figures(took.as_secs_f64() * 1e3));
    PoolTraffic {
        requests: totals.requests,
        failed: totals.failed,
        per_second: to_figures(recents.per_second(service.name(), pool.color(), LATELY, now).unwrap_or_default()),
        per_second_now: to_figures(recents.last_second(service.name(), pool.color(), totals, now).unwrap_or_default()),
        error_rate: (lately.requests > 0).then(|| lately.error_rate()),
        p50_ms: quantile(0.5),
        p95_ms: quantile(0.95),
    }
}

/// Three decimals; more would be noise.
fn to_figures(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn open(inside: &Census) -> OpenExchanges {
    let count = |wanted| inside.present().find(|(kind, _)| *kind == wanted).map_or(0, |(_, tally)| tally.count);
    OpenExchanges {
        websockets: count(ExchangeKind::Websocket),
        event_streams: count(ExchangeKind::EventStream),
        tunnels: count(ExchangeKind::Tunnel),
    }
}

fn left((kind, tally): (ExchangeKind, KindCount)) -> LeftInFlight {
    LeftInFlight { kind, count: tally.count, oldest_seconds: tally.oldest.as_secs() }
}

fn detour_status(detour: Detour) -> DetourStatus {
    match detour {
        Detour::Failover => DetourStatus::Failover,
        Detour::Fallback => DetourStatus::Fallback,
    }
}

fn backend_status(backend: &Backend) -> BackendStatus {
    let health = backend.health();
    BackendStatus {
        address: backend.addr().to_string(),
        endpoint: backend.name().to_string(),
        up: health.seems_up(),
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
        CertSource::File(path) => (CertificateSource::File, Some(path)),
        CertSource::Internal => (CertificateSource::Internal, None),
        CertSource::Acme => (CertificateSource::Acme, None),
        CertSource::StandIn => (CertificateSource::StandIn, None),
    };
    CertificateStatus {
        names: found.names,
        source,
        file,
        issuer: found.issuer,
        not_after: found.not_after.and_then(timestamp),
        next_renewal: found.next_renewal.and_then(timestamp),
        error: found.error,
        warnings: found.warnings,
    }
}

/// `None` for a time after the year 9999.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok()
}
