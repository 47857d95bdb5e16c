//! The server and the client over a real socket, in front of a real operator and backends that answer or refuse.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::get;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::wire::{CaRoot, SwitchBody};
use super::*;
use crate::config;
use crate::control::{Actor, History, OperationResult, Operator, StateFile, StateWriter};
use crate::listen::Admissions;
use crate::management::Closing;
use crate::metrics::Metrics;
use crate::resolve::Resolver;
use crate::resources::Descriptors;
use crate::service::{Active, Service};
use crate::snapshot::Snapshot;
use crate::spool::SpoolDisk;
use crate::tls::{CertStore, InternalCa};
use crate::token::Signer;
use crate::types::Color;
use crate::upstream::Upstreams;
use crate::worker::{Orders, SharedState};

/// A daemon's control side: blue and green answer at `/health/`, unless green is told to be missing.
struct TestDaemon {
    socket: PathBuf,
    client: AdminClient,
    reloads: mpsc::UnboundedReceiver<ReloadRequest>,
    _folder: tempfile::TempDir,
}

/// Runs a test against a daemon on one thread, as the real control runtime is.
fn with_daemon<F: Future<Output = ()>>(green_answers: bool, test: impl FnOnce(TestDaemon) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let daemon = start(green_answers).await;
        test(daemon).await;
    });
}

async fn start(green_answers: bool) -> TestDaemon {
    let (blue, green) = (backend().await, if green_answers { backend().await } else { refusing() });
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[[site]]\nhosts = [\"app.test\"]\nservice = \"app\"\n[service.app]\nblue = [\"{blue}\"]\ngreen = [\"{green}\"]\n\
         [service.single]\nbackends = [\"{blue}\"]\n"
    );
    let shared = shared(&text, folder.path());
    let history = Arc::new(History::open(folder.path()).unwrap());
    let (file, _) = StateFile::open(folder.path()).unwrap();
    let writer = StateWriter::new(file, shared.clone());
    let operator = Operator::new(
        shared.clone(),
        writer,
        history.clone(),
        Rc::new(Upstreams::default()),
        Resolver::new(&[]),
        Orders::default(),
    );
    let (reload, reloads) = mpsc::unbounded_channel();
    let certificates = Arc::new(CertStore::new(InternalCa::generate().unwrap()));
    let (store, metrics) = (certificates.clone(), shared.metrics.clone());
    let acme = crate::acme::Manager::new(folder.path(), store, Arc::default(), metrics, Resolver::new(&[]));
    let state = AdminState {
        control: operator.start(),
        shared,
        certificates,
        ca: Arc::new(CaRoot { pem: String::new(), sha256: String::new(), not_after: None, constrained: true }),
        acme: acme.handle(),
        history,
        listeners: Arc::new(ArcSwap::default()),
        admissions: Arc::new(Admissions::default()),
        workers: Orders::default(),
        reload,
        ready: Arc::new(|| true),
        fit: Arc::new(|| true),
        config_path: Arc::new("edge.toml".into()),
        config_on_disk: Arc::default(),
        started: Timestamp::now(),
    };
    let socket = folder.path().join("admin.sock");
    let listener = bind(&socket).unwrap();
    // Ends with the test's runtime.
    tokio::spawn(serve(listener, state, Closing::default()));
    TestDaemon { client: AdminClient::new(socket.clone()), socket, reloads, _folder: folder }
}

fn shared(text: &str, folder: &Path) -> Arc<SharedState> {
    let loaded = config::parse("edge.toml", text, &|_| None).unwrap();
    let metrics = Arc::new(Metrics::new(1));
    let active = Active::new(Color::Blue, 1, SystemTime::now());
    let add = |service: &Arc<config::ServiceConfig>| Arc::new(Service::new(service.clone(), active.clone()));
    let snapshot = Snapshot::build(Arc::new(loaded.config), crate::trust::RootSets::default(), None, &metrics, &add);
    let signer = Signer::open(folder).unwrap();
    let snapshot = ArcSwap::from_pointee(snapshot);
    let (signer, descriptors) = (Arc::new(signer), Descriptors::within(1024, 0));
    Arc::new(SharedState {
        snapshot,
        metrics,
        signer,
        challenges: Arc::default(),
        descriptors,
        buffers: Arc::default(),
        spool: Arc::new(SpoolDisk::new(Descriptors::within(1024, 0))),
    })
}

async fn backend() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = Router::new().route("/health/", get(async || "ok"));
    // Ends with the test's runtime.
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn to_green() -> SwitchBody {
    let timeout = Some(Duration::from_secs(10).into());
    SwitchBody { color: Some(Color::Green.into()), timeout, ..SwitchBody::default() }
}

fn problem<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result.unwrap_err() {
        ClientError::Problem(problem) => *problem,
        other => panic!("{other}"),
    }
}

/// The socket belongs to the user who runs this test.
fn own_uid(socket: &Path) -> u32 {
    std::fs::metadata(socket).unwrap().uid()
}

/// One request as curl would send it; answers everything up to the connection's end.
async fn raw(daemon: &TestDaemon, head: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(&daemon.socket).await.unwrap();
    let length = body.len();
    let text = format!("{head}\r\nHost: edge\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn a_switch_tells_its_steps_and_ends_in_the_status_and_the_history() {
    with_daemon(true, async |daemon| {
        let mut steps = Vec::new();
        let reason = Some("release 4.2".to_owned());
        let body = SwitchBody { reason, ..to_green() };
        let done = daemon.client.operate("app", &body, &mut |event| steps.push(event.clone())).await.unwrap();
        assert_eq!((done.to, done.generation, done.result), (Some(Color::Green), 2, OperationResult::Switched));
        assert!(done.drain.is_some());
        let told = serde_json::to_string(&steps).unwrap();
        for step in ["gate_started", "probed", "gate_passed", "flipped", "draining", "drained"] {
            assert!(told.contains(step), "{step} is missing in {told}");
        }
        let status = daemon.client.status().await.unwrap();
        let app = &status.services[0];
        assert_eq!((app.active, app.idle, app.previous), (Some(Color::Green), Some(Color::Blue), Some(Color::Blue)));
        assert!(app.pools[1].backends[0].up);
        let records = daemon.client.history(Some("app"), 20).await.unwrap();
        let me = Actor::new(own_uid(&daemon.socket), i32::try_from(std::process::id()).ok());
        assert_eq!(records[0].actor, me);
        assert_eq!(records[0].reason.as_deref(), Some("release 4.2"));
    });
}

#[test]
fn a_gate_that_stays_shut_names_the_backend() {
    with_daemon(false, async |daemon| {
        let body = SwitchBody { timeout: Some(Duration::from_millis(300).into()), ..to_green() };
        let refused = problem(daemon.client.operate("app", &body, &mut |_| {}).await);
        assert_eq!((refused.code, refused.status), (ProblemCode::GateNotPassed, 422));
        assert!(refused.backends[0].why.contains("refused"), "{refused:?}");
        assert_eq!(daemon.client.status().await.unwrap().services[0].active, Some(Color::Blue));
    });
}

#[test]
fn what_cannot_be_understood_is_refused_with_the_fix() {
    with_daemon(true, async |daemon| {
        let cases = [
            ("switch", r#"{"color":"red"}"#, 400, "unknown_color"),
            ("switch", "{}", 400, "unknown_color"),
            ("switch", r#"{"color":"green","timeout":"30"}"#, 400, "bad_duration"),
            ("switch", r#"{"colour":"green"}"#, 400, "bad_request"),
            ("switch", "{", 400, "bad_request"),
            ("switch", r#"{"color":"green","max":"1m"}"#, 400, "bad_request"),
            ("switch", r#"{"color":"green","if_generation":7}"#, 412, "generation_conflict"),
            ("rollback", r#"{"color":"green"}"#, 400, "bad_request"),
            ("rollback", "", 409, "no_previous"),
            ("canary", "", 400, "bad_request"),
            ("canary", r#"{"color":"blue","percent":5}"#, 409, "serves_already"),
            ("canary", r#"{"color":"green","percent":101}"#, 400, "bad_request"),
            ("switch", r#"{"color":"green","steps":[25,5]}"#, 400, "bad_request"),
            ("pause", r#"{"max":"0s"}"#, 400, "bad_request"),
            ("maintenance", r#"{"allow":["everyone"]}"#, 400, "bad_request"),
            ("resume", r#"{"message":"x"}"#, 400, "bad_request"),
            ("nonsense", "", 404, "no_such_path"),
        ];
        for (verb, body, status, code) in cases {
            let answer = raw(&daemon, &format!("POST /v1/services/app/{verb} HTTP/1.1"), body).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{verb} {body}: {answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
            assert!(answer.contains(&format!(r#""code":"{code}""#)), "{answer}");
        }
        let large = " ".repeat(65 * 1024);
        let answer = raw(&daemon, "POST /v1/services/app/switch HTTP/1.1", &large).await;
        assert!(answer.contains("body_too_large"), "{answer}");
        let answer = raw(&daemon, "POST /v1/status HTTP/1.1", "").await;
        assert!(answer.contains("method_not_allowed"), "{answer}");
        let answer = raw(&daemon, "GET /v1/history?n=many HTTP/1.1", "").await;
        assert!(answer.contains("?n=20"), "{answer}");
    });
}

#[test]
fn a_service_that_cannot_be_switched_says_why() {
    with_daemon(true, async |daemon| {
        let refused = async |service: &str| {
            let answer = daemon.client.operate(service, &to_green(), &mut |_| {}).await;
            problem(answer).code
        };
        assert_eq!(refused("nope").await, ProblemCode::NoSuchService);
        assert_eq!(refused("single").await, ProblemCode::NotColored);
        assert_eq!(refused("a/b c").await, ProblemCode::NoSuchService);
        assert_eq!(problem(daemon.client.history(Some("nope"), 20).await).code, ProblemCode::NoSuchService);
    });
}

#[test]
fn one_answer_at_the_end_without_ndjson() {
    with_daemon(true, async |daemon| {
        let answer = raw(&daemon, "POST /v1/services/app/gate HTTP/1.1", r#"{"color":"green"}"#).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains(r#""result":"ready""#) && !answer.contains("gate_started"), "{answer}");
    });
}

#[test]
fn a_reload_is_answered_by_the_daemon() {
    with_daemon(true, async |mut daemon| {
        let client = daemon.client.clone();
        let asked = tokio::spawn(async move { client.reload().await });
        let request = daemon.reloads.recv().await.unwrap();
        let failed = ReloadFailed { text: "error: no".to_owned(), diagnostics: serde_json::json!([{ "line": 1 }]) };
        request.answer.send(Err(failed)).unwrap();
        let refused = problem(asked.await.unwrap());
        assert_eq!((refused.code, refused.detail.as_str()), (ProblemCode::InvalidConfig, "error: no"));
        assert_eq!(refused.diagnostics.unwrap()[0]["line"], 1);
    });
}

#[test]
fn the_socket_is_for_owner_and_group() {
    with_daemon(true, async |daemon| {
        let mode = std::fs::metadata(&daemon.socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(bind(&daemon.socket).unwrap_err().to_string().contains("another process answers"));
        assert!(daemon.client.health().await.unwrap().ready);
    });
}

#[tokio::test]
async fn a_missing_daemon_is_not_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let error = AdminClient::new(folder.path().join("none.sock")).status().await.unwrap_err();
    assert!(matches!(error, ClientError::NotReachable { .. }), "{error}");
    assert!(error.to_string().contains("edgectl serve"), "{error}");
}
