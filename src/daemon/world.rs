//! Everything that lives as long as the daemon, made in the order in which it depends on each other.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::cores::Cores;
use super::door::AdminSocket;
use super::gauges::Gauges;
use super::listeners::Listeners;
use super::observe::{self, Observed};
use super::reload::certificate_fingerprint;
use super::watch::FileWatch;
use crate::access::AccessLog;
use crate::acme;
use crate::admin::{self, wire::ListenerStatus};
use crate::challenge::Challenges;
use crate::config::{self, AccessTarget, Config, Loaded};
use crate::control::{CoreLinks, History, Operator, OperatorHandle, Recovered, StateFile, StateWriter};
use crate::health::Monitor;
use crate::http::Shared;
use crate::listen::Admissions;
use crate::metrics::Metrics;
use crate::resolve::{self, Resolver};
use crate::service::{Active, Service};
use crate::snapshot::Snapshot;
use crate::state::{DirLock, create_private_dir};
use crate::tls::{CertStore, InternalCa, TicketKeys, Tls};
use crate::token::Signer;
use crate::types::Color;
use crate::upstream::Upstreams;

/// How long readiness waits for the first probes before it is said anyway.
const FIRST_PROBES: Duration = Duration::from_secs(10);

/// How long a reload waits for the first probes of a service that it adds.
const NEW_SERVICES: Duration = Duration::from_secs(5);

/// How often it is noted how the colours do.
const SAMPLES: Duration = Duration::from_secs(1);

/// The running daemon, as its control runtime sees it.
pub(super) struct World {
    pub config_path: PathBuf,
    pub shared: Arc<Shared>,
    pub writer: StateWriter,
    pub operator: Rc<Operator>,
    pub handle: OperatorHandle,
    pub history: Arc<History>,
    pub certificates: Arc<CertStore>,
    pub tls: Arc<Tls>,
    pub acme: Rc<acme::Manager>,
    pub access: Arc<AccessLog>,
    pub admissions: Arc<Admissions>,
    pub admin: AdminSocket,
    pub listeners: Listeners,
    pub listener_view: Arc<ArcSwap<Vec<ListenerStatus>>>,
    pub cores: Cores,
    pub monitor: RefCell<Monitor>,
    pub resolver: Rc<RefCell<Resolver>>,
    pub watch: RefCell<Option<FileWatch>>,
    /// Of the config file and of the certificates, as they were when they were last read.
    pub fingerprints: Cell<(u64, u64)>,
    ready: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
    started: Instant,
    pub started_at: Timestamp,
    _lock: DirLock,
}

impl World {
    /// From a valid config to a daemon that serves. What can fail, fails before the first socket is open.
    ///
    /// `seen`: the fingerprint of the config file, taken before it was read.
    pub async fn start(config_path: &Path, seen: u64, loaded: Loaded) -> Result<Rc<Self>, String> {
        let config = Arc::new(loaded.config);
        let fingerprints = Cell::new((seen, certificate_fingerprint(&config)));
        let lock = take_state_dir(&config)?;
        let state = open_state(&config)?;
        let history =
            History::open(&config.server.state_dir).map_err(|e| in_state_dir(&config, "history.jsonl", &e))?;
        let history = Arc::new(history);
        let metrics = Arc::new(Metrics::new(config.server.workers));
        let snapshot = Snapshot::build(config.clone(), None, &metrics, &|service| added(&state, service));
        let signer = Signer::open(&config.server.state_dir).map_err(|e| in_state_dir(&config, "token.key", &e))?;
        let snapshot = ArcSwap::from_pointee(snapshot);
        let challenges: Arc<Challenges> = Arc::default();
        let signer = Arc::new(signer);
        let shared = Arc::new(Shared { snapshot, metrics, signer, challenges: challenges.clone() });
        let writer = StateWriter::new(state, shared.clone());
        let ca = InternalCa::open(&config.server.state_dir.join("ca")).map_err(|e| e.to_string())?;
        let certificates = Arc::new(CertStore::new(ca));
        certificates.load(&config);
        let tickets = TicketKeys::new(SystemTime::now()).map_err(|e| e.to_string())?;
        let tls = Tls::new(certificates.clone(), challenges.clone(), tickets, &config);
        let tls = tls.map_err(|e| format!("TLS: {e}"))?;
        let tls = Arc::new(tls);
        let access = Arc::new(open_access_log(&config.log)?);
        let admissions = Arc::new(Admissions::default());
        let listeners = Listeners::default();
        let admin = admin::bind(&config.server.admin).map_err(|e| e.to_string())?;
        let prepared = listeners.prepare(&config.server).map_err(|e| e.to_string())?;
        let cores = Cores::start(config.server.workers, &shared, &tls, &admissions, &access);
        let cores = cores.map_err(|e| format!("cannot start a thread: {e}"))?;
        let upstreams: Rc<Upstreams> = Rc::default();
        let resolver = Resolver::new(&config.server.resolvers);
        let acme = acme::Manager::new(
            &config.server.state_dir,
            certificates.clone(),
            challenges,
            shared.metrics.clone(),
            resolver.clone(),
        );
        let operator = Operator::new(
            shared.clone(),
            writer.clone(),
            history.clone(),
            upstreams.clone(),
            resolver.clone(),
            CoreLinks { on_drained: Box::new(cores.teller()), warm_up: cores.errands(), census: cores.census() },
        );
        let world = Rc::new(Self {
            config_path: config_path.to_owned(),
            handle: operator.start(),
            shared,
            writer,
            operator,
            history,
            certificates,
            tls,
            acme,
            access,
            admissions,
            admin: AdminSocket::new(&config.server.admin, admin),
            listeners,
            listener_view: Arc::default(),
            cores,
            monitor: RefCell::new(Monitor::new(upstreams)),
            resolver: Rc::new(RefCell::new(resolver)),
            watch: RefCell::new(None),
            fingerprints,
            ready: Arc::default(),
            stopping: Arc::default(),
            started: Instant::now(),
            started_at: Timestamp::now(),
            _lock: lock,
        });
        world.open_doors(&config, prepared).await?;
        Ok(world)
    }

    async fn open_doors(self: &Rc<Self>, config: &Config, prepared: super::listeners::Prepared) -> Result<(), String> {
        self.shared.metrics.reloaded(SystemTime::now());
        if let Some(addr) = config.server.metrics {
            let local = observe::serve(addr, self.observed())?;
            tracing::info!(%local, "metrics");
        }
        self.resolve_now().await;
        self.keep_resolving();
        self.keep_sampling();
        self.operator.tell_what_broke_off(self.shared.snapshot.load().services.values());
        self.follow_services();
        // What is on disk serves from the first handshake on. An authority that comes at once waits in a socket's queue.
        self.acme.follow(&config.acme);
        self.listeners.apply(prepared, &self.cores).await;
        self.show_listeners();
        for listener in self.listeners.open() {
            let local = listener.local.map(|l| l.to_string()).unwrap_or_default();
            tracing::info!(addr = %listener.addr, local, tls = listener.tls, "listening");
        }
        Ok(())
    }

    fn observed(&self) -> Observed {
        let gauges = Gauges {
            shared: self.shared.clone(),
            admissions: self.admissions.clone(),
            certificates: self.certificates.clone(),
            access: self.access.clone(),
        };
        Observed { metrics: Arc::new(move || gauges.render()), ready: self.readiness() }
    }

    /// Whether this process is to be sent requests; else why not.
    pub fn readiness(&self) -> Arc<dyn Fn() -> Result<(), String> + Send + Sync> {
        let (fit, shared) = (self.fitness(), self.shared.clone());
        Arc::new(move || {
            fit()?;
            shared.snapshot.load().services.values().try_for_each(|service| serves(service))
        })
    }

    /// Whether the process itself is able to serve, whatever the operator has closed.
    pub fn fitness(&self) -> Arc<dyn Fn() -> Result<(), String> + Send + Sync> {
        let (ready, stopping) = (self.ready.clone(), self.stopping.clone());
        Arc::new(move || match (stopping.load(Ordering::Relaxed), ready.load(Ordering::Relaxed)) {
            (true, _) => Err("shutting down".to_owned()),
            (false, false) => Err("starting: backends are being probed".to_owned()),
            (false, true) => Ok(()),
        })
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Ready once every active pool has a healthy backend, or has had time enough to show one.
    pub fn look_whether_ready(&self) {
        let snapshot = self.shared.snapshot.load();
        let serves = snapshot.services.values().all(|s| s.pool(s.active().color).has_healthy());
        if serves || self.started.elapsed() > FIRST_PROBES {
            self.ready.store(true, Ordering::Relaxed);
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            tracing::info!(after = ?self.started.elapsed(), "ready");
        }
    }

    /// Probes the services of the present snapshot, and no others.
    pub fn follow_services(&self) {
        let snapshot = self.shared.snapshot.load_full();
        self.monitor.borrow_mut().follow(snapshot.services.values());
        self.operator.follow(snapshot.services.values());
    }

    /// The services that `next` adds, probed before anyone is sent to them: a site that moves to a new service loses nothing.
    ///
    /// Ends when each can serve, or shows that it can't, or has had its time.
    pub async fn warm_up(&self, next: &Config) -> BTreeMap<Arc<str>, Arc<Service>> {
        let present = self.shared.snapshot.load_full();
        let new: Vec<_> = next.services.values().filter(|definition| present.kept(definition).is_none()).collect();
        if new.is_empty() {
            return BTreeMap::new();
        }
        let services = self.writer.with_state(|state| {
            let services = new.iter().map(|definition| (definition.name.clone(), added(state, definition)));
            services.collect::<BTreeMap<_, _>>()
        });
        let services = services.await;
        let resolver = self.resolver.borrow().clone();
        let pools = services.values().flat_map(|service| service.pools());
        futures_util::future::join_all(pools.map(|pool| resolver.refresh(pool))).await;
        self.monitor.borrow_mut().follow(present.services.values().chain(services.values()));
        let until = Instant::now() + NEW_SERVICES;
        while services.values().any(|service| service.pool(service.active().color).may_come_up())
            && Instant::now() < until
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        services
    }

    pub async fn resolve_now(&self) {
        let resolver = self.resolver.borrow().clone();
        refresh_all(&resolver, &self.shared).await;
    }

    fn keep_resolving(self: &Rc<Self>) {
        let (shared, resolver) = (self.shared.clone(), self.resolver.clone());
        // Ends with the control runtime.
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(resolve::INTERVAL).await;
                let resolver = resolver.borrow().clone();
                refresh_all(&resolver, &shared).await;
            }
        });
    }

    /// Notes once a second how the colours do.
    fn keep_sampling(&self) {
        let shared = self.shared.clone();
        // Ends with the control runtime.
        tokio::task::spawn_local(async move {
            let mut seconds = tokio::time::interval(SAMPLES);
            seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let now = seconds.tick().await;
                let snapshot = shared.snapshot.load();
                shared.metrics.sample(snapshot.services.keys(), now.into_std());
                snapshot.services.values().for_each(|service| service.look_whether_special());
            }
        });
    }

    /// Starts watching the files of the present config.
    pub fn watch_files(&self) -> mpsc::Receiver<()> {
        let (changes, changed) = mpsc::channel(1);
        *self.watch.borrow_mut() = Some(FileWatch::start(changes));
        self.follow_files();
        changed
    }

    pub fn reopen_logs(&self) {
        self.access.reopen();
    }

    /// Not ready, doors shut, what runs finishes, the log is on disk.
    pub async fn shut_down(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let config = self.shared.snapshot.load().config.clone();
        let limit = config.server.shutdown_timeout;
        tracing::info!(?limit, open = self.admissions.open(), "shutting down");
        self.listeners.close();
        if !self.cores.stop(limit).await {
            tracing::warn!(?limit, "shutdown_timeout has passed: what still ran was cut");
        }
        self.access.close(Duration::from_secs(2));
        self.admin.remove();
        tracing::info!("stopped");
    }
}

/// Whether the service takes requests, by the operator's will; else what it does instead.
fn serves(service: &Service) -> Result<(), String> {
    let active = service.active();
    match (&active.maintenance, &active.paused) {
        (Some(_), _) => Err(format!("service {:?} is in maintenance", service.name())),
        (None, Some(_)) => Err(format!("service {:?} is paused", service.name())),
        (None, None) => Ok(()),
    }
}

async fn refresh_all(resolver: &Resolver, shared: &Shared) {
    let snapshot = shared.snapshot.load_full();
    let pools = snapshot.services.values().flat_map(|service| service.pools());
    futures_util::future::join_all(pools.map(|pool| resolver.refresh(pool))).await;
}

/// A service that was not there before.
pub(super) fn added(state: &StateFile, service: &Arc<config::Service>) -> Arc<Service> {
    Arc::new(Service::new(service.clone(), initial(state, service)))
}

/// What serves a service at the start: what the disk says, else `initial`.
pub(super) fn initial(state: &StateFile, service: &config::Service) -> Active {
    let fresh = Active::new(service.initial, 1, SystemTime::now());
    match service.pools {
        config::Pools::BlueGreen { .. } => state.active(&service.name).unwrap_or(fresh),
        // It has no colours, but may be paused or in maintenance.
        config::Pools::Single(_) => {
            let known = state.active(&service.name).unwrap_or(fresh);
            Active { color: Color::Blue, previous: None, canary: None, ..known }
        }
    }
}

/// Its folder is made, as that of `state_dir` is.
fn open_access_log(log: &config::Log) -> Result<AccessLog, String> {
    let AccessTarget::File(path) = &log.access else { return AccessLog::open(log).map_err(|e| e.to_string()) };
    let folder = path.parent().unwrap_or(Path::new("."));
    let opened = std::fs::create_dir_all(folder).and_then(|()| AccessLog::open(log));
    opened.map_err(|e| format!("the access log {}: {e}", path.display()))
}

fn take_state_dir(config: &Config) -> Result<DirLock, String> {
    let folder = &config.server.state_dir;
    create_private_dir(folder).map_err(|e| in_state_dir(config, "", &e))?;
    DirLock::take(folder).map_err(|e| in_state_dir(config, "lock", &e))
}

fn open_state(config: &Config) -> Result<StateFile, String> {
    let (state, recovered) =
        StateFile::open(&config.server.state_dir).map_err(|e| in_state_dir(config, "state.json", &e))?;
    if let Recovered::Damaged { aside, why } = recovered {
        tracing::error!(
            aside = %aside.display(),
            why,
            "THE STATE FILE IS DAMAGED and was moved aside: every service starts with its `initial` colour; \
             check what serves with `edgectl status`"
        );
    }
    Ok(state)
}

fn in_state_dir(config: &Config, file: &str, error: &io::Error) -> String {
    let folder = &config.server.state_dir;
    let path = if file.is_empty() { folder.clone() } else { folder.join(file) };
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "; it and what is in it must belong to the daemon's user (uid {})",
            rustix::process::geteuid().as_raw()
        ),
        _ => String::new(),
    };
    format!("state_dir {}: {error}{advice}", path.display())
}
