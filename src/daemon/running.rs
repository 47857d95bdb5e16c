//! Everything that lives as long as the daemon, made in the order in which one part needs another.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::admin_socket::AdminSocket;
use super::budget;
use super::filewatch::{FileWatch, Fingerprints, TakenUp, fingerprints, named_files};
use super::listeners::Listeners;
use super::observe::{self, Gauges, Observed};
use super::services::added;
use super::state_dir::{in_state_dir, open_state, take_state_dir};
use crate::access::AccessLog;
use crate::acme;
use crate::admin::{self, wire::ConfigOnDisk, wire::ListenerStatus};
use crate::challenge::Challenges;
use crate::config::{self, AccessTarget, Config, Loaded};
use crate::control::{History, Operator, OperatorHandle, StateWriter};
use crate::health::Monitor;
use crate::http::HttpEntrance;
use crate::listen::Admissions;
use crate::metrics::Metrics;
use crate::resolve::{NameWatch, Resolver};
use crate::snapshot::Snapshot;
use crate::spool::SpoolDisk;
use crate::state::DirLock;
use crate::tls::{CertStore, InternalCa, TicketKeys, Tls};
use crate::token::Signer;
use crate::trust::RootSets;
use crate::upstream::Upstreams;
use crate::worker::{Entrance, SharedState, Workers};

/// The running daemon, as its control runtime sees it.
pub(super) struct Daemon {
    pub config_path: PathBuf,
    pub shared: Arc<SharedState>,
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
    pub workers: Workers,
    pub monitor: RefCell<Monitor>,
    pub names: RefCell<NameWatch>,
    pub resolver: Rc<RefCell<Resolver>>,
    pub watch: RefCell<Option<FileWatch>>,
    /// Of the files as they were when they were last read.
    pub fingerprints: RefCell<Fingerprints>,
    /// What the present config was read from, beside its own file.
    pub config_files: RefCell<Vec<PathBuf>>,
    /// What the watch of files has taken up since a reload was last asked for.
    pub taken_up: RefCell<TakenUp>,
    /// With which config the process has started: some keys are read then alone.
    pub started_with: Arc<Config>,
    pub config_on_disk: Arc<ArcSwap<ConfigOnDisk>>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) started: Instant,
    pub started_at: Timestamp,
    _lock: DirLock,
}

impl Daemon {
    /// From a valid config to a daemon that serves. What can fail, fails before the first socket is open.
    ///
    /// `seen`: the fingerprint of the config file, taken before it was read.
    pub async fn start(config_path: &Path, seen: u64, loaded: Loaded) -> Result<Rc<Self>, String> {
        let config = Arc::new(loaded.config);
        let config_files = loaded.files;
        let named = fingerprints(named_files(&config, &config_files));
        let fingerprints = RefCell::new(Fingerprints { config: seen, named });
        let lock = take_state_dir(&config)?;
        let state = open_state(&config)?;
        let history =
            History::open(&config.server.state_dir).map_err(|e| in_state_dir(&config, "history.jsonl", &e))?;
        let history = Arc::new(history);
        let metrics = Arc::new(Metrics::new(config.server.workers));
        let roots = RootSets::load(&config, None);
        roots.say();
        let add = |service: &Arc<config::ServiceConfig>| added(&state, service, &roots.backends);
        let snapshot = Snapshot::build(config.clone(), roots.clone(), None, &metrics, &add);
        let signer = Signer::open(&config.server.state_dir).map_err(|e| in_state_dir(&config, "token.key", &e))?;
        let snapshot = ArcSwap::from_pointee(snapshot);
        let challenges: Arc<Challenges> = Arc::default();
        let signer = Arc::new(signer);
        budget::say_memory(&config);
        let descriptors = budget::descriptors(&config);
        if let Some(warning) = budget::spool_warning(&config) {
            tracing::warn!("{warning}");
        }
        let (challenges_seen, buffers) = (challenges.clone(), Arc::default());
        let spool = Arc::new(SpoolDisk::new(descriptors.clone()));
        let shared =
            SharedState { snapshot, metrics, signer, challenges: challenges_seen, descriptors, buffers, spool };
        let shared = Arc::new(shared);
        let writer = StateWriter::new(state, shared.clone());
        let ca = InternalCa::open(&config.server.state_dir.join("ca")).map_err(|e| e.to_string())?;
        let certificates = Arc::new(CertStore::new(ca));
        let _ = certificates.load(&config);
        let tickets = TicketKeys::new(SystemTime::now()).map_err(|e| e.to_string())?;
        let tls = Tls::new(certificates.clone(), challenges.clone(), tickets, &config, &roots.clients);
        let tls = tls.map_err(|e| format!("TLS: {e}"))?;
        let tls = Arc::new(tls);
        let access = Arc::new(open_access_log(&config.log)?);
        let admissions = Arc::new(Admissions::default());
        let listeners = Listeners::default();
        let admin = admin::bind(&config.server.admin).map_err(|e| e.to_string())?;
        let prepared = listeners.prepare(&config.server).map_err(|e| e.to_string())?;
        let entrance: Arc<dyn Entrance> = Arc::new(HttpEntrance::new(tls.clone()));
        let workers = Workers::start(config.server.workers, &shared, &entrance, &admissions, &access);
        let workers = workers.map_err(|e| format!("cannot start a thread: {e}"))?;
        let upstreams: Rc<Upstreams> = Rc::default();
        let resolver = Rc::new(RefCell::new(Resolver::new(&config.server.resolvers)));
        let acme = acme::Manager::new(
            &config.server.state_dir,
            certificates.clone(),
            challenges,
            shared.metrics.clone(),
            resolver.borrow().clone(),
        );
        let operator = Operator::new(
            shared.clone(),
            writer.clone(),
            history.clone(),
            upstreams.clone(),
            resolver.borrow().clone(),
            workers.orders().clone(),
        );
        let names = RefCell::new(NameWatch::new(resolver.clone(), shared.metrics.clone()));
        let monitor = RefCell::new(Monitor::new(upstreams, resolver.clone(), shared.metrics.clone()));
        let daemon = Rc::new(Self {
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
            workers,
            monitor,
            names,
            resolver,
            watch: RefCell::new(None),
            fingerprints,
            config_files: RefCell::new(config_files),
            taken_up: RefCell::default(),
            started_with: config.clone(),
            config_on_disk: Arc::default(),
            ready: Arc::default(),
            stopping: Arc::default(),
            started: Instant::now(),
            started_at: Timestamp::now(),
            _lock: lock,
        });
        daemon.open_listeners(&config, prepared).await?;
        Ok(daemon)
    }

    async fn open_listeners(
        self: &Rc<Self>,
        config: &Config,
        prepared: super::listeners::Prepared,
    ) -> Result<(), String> {
        self.shared.metrics.reloaded(SystemTime::now());
        if let Some(addr) = config.server.metrics {
            let (socket, observed) = (observe::bind(addr)?, self.observed());
            let local = socket.local_addr().map_err(|e| e.to_string())?;
            self.keep_running("metrics", move || observe::serve(socket.try_clone(), observed.clone()));
            tracing::info!(%local, "metrics");
        }
        self.resolve_now().await;
        self.keep_sampling();
        self.operator.tell_what_broke_off(self.shared.snapshot.load().services.values());
        self.follow_services();
        // Certificates on disk serve from the first handshake on. An authority that connects at once waits in a socket's queue.
        self.acme.follow(&config.acme);
        self.listeners.apply(prepared, self.workers.orders()).await;
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
            config_on_disk: self.config_on_disk.clone(),
        };
        let shared = self.shared.clone();
        Observed {
            metrics: Arc::new(move || gauges.render()),
            ready: self.readiness(),
            is_ours: Arc::new(move |host| observe::is_known_host(&shared.snapshot.load().config.server, host)),
        }
    }

    pub fn reopen_logs(&self) {
        self.access.reopen();
    }

    /// Reports not ready, closes the listeners, lets what runs finish, and writes the log to disk.
    pub async fn shut_down(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.operator.stop();
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let config = self.shared.snapshot.load().config.clone();
        let limit = config.server.shutdown_timeout;
        tracing::info!(?limit, open = self.admissions.open(), "shutting down");
        self.listeners.close();
        if !self.workers.stop(limit).await {
            tracing::warn!(?limit, "shutdown_timeout has passed: what still ran was cut");
        }
        // A drain ends with the last exchange of its colour, a moment after it.
        self.operator.ended_within(Duration::from_secs(1)).await;
        self.access.close(Duration::from_secs(2));
        self.admin.close(Duration::from_secs(1)).await;
        tracing::info!("stopped");
    }
}

/// Opens the access log. Makes its folder if it is missing.
fn open_access_log(log: &config::Log) -> Result<AccessLog, String> {
    let AccessTarget::File(path) = &log.access else { return AccessLog::open(log).map_err(|e| e.to_string()) };
    let folder = path.parent().unwrap_or(Path::new("."));
    let opened = std::fs::create_dir_all(folder).and_then(|()| AccessLog::open(log));
    opened.map_err(|e| format!("the access log {}: {e}", path.display()))
}
