//! What each path of the admin API does.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, extract};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::call::Call;
use super::goals::GoalBody;
use super::{preview, status, stream};
use crate::admin::state::{AdminState, ReloadFailed, ReloadReport, ReloadRequest};
use crate::admin::wire::{
    CaRoot, CanaryBody, Certificates, GateBody, HealthStatus, HistoryRecords, MaintenanceBody, PauseBody, PreviewBody,
    PreviewLink, Problem, ProblemCode, RenewRequest, RenewedCertificate, ResumeBody, RollbackBody, Status, SwitchBody,
};
use crate::control::{HistoryRecord, OperationRefused};
use crate::doctor::{self, Diagnosis, DoctorQuestion};

/// A larger body is refused unread.
const BODY_LIMIT: usize = 64 * 1024;

/// The most records that one answer has.
const HISTORY_LIMIT: usize = 10_000;

pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/v1/status", get(read_status))
        .route("/v1/health", get(read_health))
        .route("/v1/certificates", get(read_certificates))
        .route("/v1/certificates/renew", post(renew_certificate))
        .route("/v1/ca", get(read_ca))
        .route("/v1/acme/doctor", post(examine))
        .route("/v1/history", get(read_history))
        .route("/v1/reload", post(reload))
        .route("/v1/services/{name}/history", get(read_service_history))
        .route("/v1/services/{name}/switch", post(operate::<SwitchBody>))
        .route("/v1/services/{name}/rollback", post(operate::<RollbackBody>))
        .route("/v1/services/{name}/gate", post(operate::<GateBody>))
        .route("/v1/services/{name}/canary", post(operate::<CanaryBody>))
        .route("/v1/services/{name}/pause", post(operate::<PauseBody>))
        .route("/v1/services/{name}/resume", post(operate::<ResumeBody>))
        .route("/v1/services/{name}/maintenance", post(operate::<MaintenanceBody>))
        .route("/v1/services/{name}/preview", post(preview))
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state)
}

async fn read_status(State(state): State<AdminState>) -> Json<Status> {
    Json(status::status(&state).await)
}

async fn read_health(State(state): State<AdminState>) -> (StatusCode, Json<HealthStatus>) {
    let ready = (state.fit)();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(HealthStatus { ready }))
}

async fn read_certificates(State(state): State<AdminState>) -> Json<Certificates> {
    Json(Certificates { certificates: status::certificates(&state) })
}

async fn read_ca(State(state): State<AdminState>) -> Json<CaRoot> {
    Json(CaRoot::clone(&state.ca))
}

type MaybeRenew = Result<Json<RenewRequest>, JsonRejection>;

/// Answers when the new certificate serves, or when the authority has refused.
async fn renew_certificate(
    State(state): State<AdminState>,
    body: MaybeRenew,
) -> Result<Json<RenewedCertificate>, Problem> {
    let Json(RenewRequest { host }) = body.map_err(|e| {
        Problem::new(ProblemCode::BadRequest, format!("{}; send {{\"host\": NAME}}", e.body_text().to_lowercase()))
    })?;
    let renewed = state.acme.renew(host).await?;
    let time = |at| Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
    let (not_after, next_renewal) = (time(renewed.not_after), time(renewed.next_renewal));
    Ok(Json(RenewedCertificate { names: renewed.names, issuer: renewed.issuer, not_after, next_renewal }))
}

type MaybeQuestion = Result<Json<DoctorQuestion>, JsonRejection>;

/// An examination that finds everything wrong is an answer too, and no problem.
async fn examine(State(state): State<AdminState>, body: MaybeQuestion) -> Result<Json<Diagnosis>, Problem> {
    let Json(question) = body.map_err(|e| {
        Problem::new(
            ProblemCode::BadRequest,
            format!("{}; send {{\"host\": NAME}}, or {{}}", e.body_text().to_lowercase()),
        )
    })?;
    if let Some(why) = question.objection() {
        return Err(Problem::new(ProblemCode::BadRequest, format!("host: {why}")));
    }
    let config = state.shared.snapshot.load().config.clone();
    Ok(Json(doctor::examine(&state.acme, question, config).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    #[serde(default = "default_count")]
    n: usize,
}

fn default_count() -> usize {
    20
}

type MaybeQuery = Result<Query<HistoryQuery>, QueryRejection>;

async fn read_history(State(state): State<AdminState>, query: MaybeQuery) -> Result<Json<HistoryRecords>, Problem> {
    let records = records(&state, None, query).await?;
    Ok(Json(HistoryRecords { records }))
}

/// A service that the config no longer has keeps its history.
async fn read_service_history(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    query: MaybeQuery,
) -> Result<Json<HistoryRecords>, Problem> {
    let records = records(&state, Some(name.clone()), query).await?;
    let snapshot = state.shared.snapshot.load();
    if records.is_empty() && !snapshot.services.contains_key(name.as_str()) {
        let known: Vec<String> = snapshot.services.keys().map(|known| format!("{known:?}")).collect();
        return Err(OperationRefused::NoSuchService { name, known: known.join(", ") }.into());
    }
    Ok(Json(HistoryRecords { records }))
}

async fn records(
    state: &AdminState,
    service: Option<String>,
    query: MaybeQuery,
) -> Result<Vec<HistoryRecord>, Problem> {
    let Query(HistoryQuery { n }) = query.map_err(|error| {
        Problem::new(ProblemCode::BadRequest, format!("{}; use ?n=20", error.body_text().to_lowercase()))
    })?;
    let history = state.history.clone();
    let read = tokio::task::spawn_blocking(move || history.last(service.as_deref(), n.min(HISTORY_LIMIT)));
    let read = read.await.map_err(std::io::Error::other).flatten();
    read.map_err(|error| Problem::new(ProblemCode::Internal, format!("the history cannot be read: {error}")))
}

async fn preview(State(state): State<AdminState>, call: Call<PreviewBody>) -> Result<Json<PreviewLink>, Problem> {
    preview::mint(&state, call).await.map(Json)
}

/// Any verb that is an operation of control.
async fn operate<B: GoalBody>(State(state): State<AdminState>, call: Call<B>) -> Result<Response, Problem> {
    let Call { service, body, caller, streams } = call;
    stream::answer(&state.control, body.goal()?.request(service, caller.actor()), streams).await
}

async fn reload(State(state): State<AdminState>) -> Result<Json<ReloadReport>, Problem> {
    let (answer, answered) = oneshot::channel();
    let leaving = || Problem::from(OperationRefused::ShuttingDown);
    state.reload.send(ReloadRequest { answer }).map_err(|_| leaving())?;
    let report = answered.await.map_err(|_| leaving())?.map_err(Problem::from)?;
    Ok(Json(report))
}

impl From<ReloadFailed> for Problem {
    fn from(failed: ReloadFailed) -> Self {
        Self { diagnostics: Some(Box::new(failed.diagnostics)), ..Self::new(ProblemCode::InvalidConfig, failed.text) }
    }
}

async fn no_such_path(request: extract::Request) -> Problem {
    Problem::new(ProblemCode::NoSuchPath, format!("nothing is at {}; start at GET /v1/status", request.uri().path()))
}

async fn method_not_allowed(request: extract::Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(ProblemCode::MethodNotAllowed, format!("{path} does not take {method}")).into_response()
}
