//! Accepting, and one connection.

use std::convert::Infallible;
use std::pin::pin;
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
use tokio_util::sync::CancellationToken;

use super::body::{MarkedBody, TimedBody};
use super::closing::Closing;
use super::places::{Activity, Places};
use super::stall::StallGuard;

/// How long a client may take for a head, and stay without asking.
const HEAD: Duration = Duration::from_secs(10);

/// The most of one connection that is kept in memory: a head, and what follows it.
const BUFFER: usize = 64 * 1024;

/// Answers on `listener` until `closing`, and never returns. `describe` notes for the router what is known of a connection.
///
/// Dropped, it closes every connection at once: none holds anything up. An operation that a request has begun goes on.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    describe: impl Fn(&L::Io, &mut Extensions) + Send + 'static,
    closing: Closing,
) -> Infallible {
    let mut connections = JoinSet::new();
    let mut places = Places::new();
    loop {
        let Some((io, _)) = closing.asked.run_until_cancelled(listener.accept()).await else {
            drop(listener);
            // With its connections: they are this future's.
            return std::future::pending().await;
        };
        while connections.try_join_next().is_some() {}
        // Where every connection works on a request, a further one is closed.
        let Some(activity) = places.make_room() else { continue };
        let mut known = Extensions::new();
        describe(&io, &mut known);
        // Ends with its connection, when another takes its place, or with the server.
        let answering = answer(io, router.clone(), known, activity.clone(), closing.asked.clone());
        let task = connections.spawn(closing.open.track_future(answering));
        places.take(activity, task);
    }
}

async fn answer<T>(io: T, router: Router, known: Extensions, activity: Arc<Activity>, closing: CancellationToken)
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
    let mut connection = pin!(server.serve_connection(TokioIo::new(StallGuard::new(io)), service));
    // An error: the client has gone, or has broken a bound.
    if closing.run_until_cancelled(connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
