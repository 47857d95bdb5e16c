//! The observability port: `/metrics`, `/livez`, `/readyz`. Plain HTTP, meant for loopback or a private network.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

/// What the port shows.
#[derive(Clone)]
pub struct Observed {
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// Binds and serves until the runtime, in which it is called, ends.
pub fn serve(addr: SocketAddr, observed: Observed) -> Result<SocketAddr, String> {
    let listener = crate::listen::bind(&crate::types::ListenAddr::Tcp(addr), false).map_err(|e| e.to_string())?;
    let socket = listener.into_tcp().ok_or("not a TCP address")?;
    let listener = TcpListener::from_std(socket).map_err(|e| e.to_string())?;
    let local = listener.local_addr().map_err(|e| e.to_string())?;
    let Observed { metrics, ready } = observed;
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let router = Router::new()
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
        );
    // Ends with the control runtime.
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the metrics port has stopped");
        }
    });
    Ok(local)
}
