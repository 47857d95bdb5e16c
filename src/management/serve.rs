//! Accepting, and one connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Extensions, Request, Response};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;

use super::body::{MarkedBody, TimedBody};
use super::places::{Activity, Places};
use super::stall::StallGuard;

/// How long a client may take for a head, and stay without asking.
const HEAD: Duration = Duration::from_secs(10);

/// The most of one connection that is kept in memory: a head, and what follows it.
const BUFFER: usize = 64 * 1024;

/// Answers on `listener` for ever. `describe` notes for the router what is known of a connection.
///
/// Dropped, it closes every connection at once: none holds anything up. An operation that a request has begun goes on.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    describe: impl Fn(&L::Io, &mut Extensions) + Send + 'static,
) -> Infallible {
    let mut connections = JoinSet::new();
    let mut places = Places::new();
    loop {
        let (io, _) = listener.accept().await;
        while connections.try_join_next().is_some() {}
        // Where every connection works on a request, a further one is closed.
        let Some(activity) = places.make_room() else { continue };
        let mut known = Extensions::new();
        describe(&io, &mut known);
        // Ends with its connection, when another takes its place, or with the server.
        let task = connections.spawn(answer(io, router.clone(), known, activity.clone()));
        places.take(activity, task);
    }
}

async fn answer<T>(io: T, router: Router, known: Extensions, activity: Arc<Activity>)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = activity.begin();
        let mut request = request.map(TimedBody::new);
        request.extensions_mut().extend(known.clone());
        let answering = routes.call(request);
        async move {
            let answer: Response<Body> = answering.await?;
            Ok::<_, Infallible>(answer.map(|body| MarkedBody::new(body, busy)))
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(100).max_buf_size(BUFFER);
    // The client has gone, or has broken a bound.
    let _ = server.serve_connection(TokioIo::new(StallGuard::new(io)), service).await;
}
