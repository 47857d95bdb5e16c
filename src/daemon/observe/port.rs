//! The observability port: `/metrics`, `/livez`, `/readyz`. Plain HTTP, meant for loopback or a private network.
//!
//! On loopback it trusts every process of the machine, and so every page in a browser there. A page whose name is made to
//! resolve to loopback (DNS rebinding) still says its own name in the Host field: such a host is refused.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::config::Server;
use crate::decide::host_of;
use crate::listen;
use crate::management::{self, Closing};
use crate::types::{HostName, ListenAddr};

/// What the port shows.
#[derive(Clone)]
pub struct Observed {
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Whether a host is one of `metrics_hosts`.
    pub is_ours: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// The socket of the port.
pub fn bind(addr: SocketAddr) -> Result<TcpListener, String> {
    let listener = listen::bind(&ListenAddr::Tcp(addr), false).map_err(|e| e.to_string())?;
    listener.into_tcp().ok_or_else(|| "not a TCP address".to_owned())
}

/// Answers for ever; returns why it can't.
pub async fn serve(socket: std::io::Result<TcpListener>, observed: Observed) -> String {
    let listener =
        socket.and_then(|socket| Ok((socket.local_addr()?.ip(), tokio::net::TcpListener::from_std(socket)?)));
    let (ip, listener) = match listener {
        Ok(listener) => listener,
        Err(error) => return error.to_string(),
    };
    let mut router = routes(&observed);
    if ip.to_canonical().is_loopback() {
        router = router.layer(middleware::from_fn_with_state(observed.is_ours, refuse_foreign_hosts));
    }
    match management::serve(listener, router, |_, _| {}, Closing::default()).await {}
}

fn routes(observed: &Observed) -> Router {
    let Observed { metrics, ready, .. } = observed.clone();
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Router::new()
        .route("/metrics", get(move || async move { (text, metrics()) }))
        .route("/livez", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                match ready() {
                    Ok(()) => (StatusCode::OK, "ready\n".to_owned()).into_response(),
                    Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
                }
            }),
        )
}

/// Whether `host`, in lower case, may be asked for on loopback.
pub fn is_known_host(server: &Server, host: &str) -> bool {
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    is_address || host == "localhost" || server.metrics_hosts.iter().any(|known: &HostName| known.as_str() == host)
}

type HostCheck = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// A request without a host comes from no browser.
async fn refuse_foreign_hosts(State(is_ours): State<HostCheck>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let names_none = head.uri.authority().is_none() && !head.headers.contains_key(header::HOST);
    let is_known = names_none || host_of(&head).is_ok_and(|host| is_ours(&host.name));
    if is_known {
        return next.run(Request::from_parts(head, body)).await;
    }
    let advice = "ask for an IP address or localhost, or add the host to [server] metrics_hosts\n";
    (StatusCode::MISDIRECTED_REQUEST, advice).into_response()
}
