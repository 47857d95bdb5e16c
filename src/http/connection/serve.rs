//! A connection's task: which codec serves it.

use std::rc::Rc;

use super::conn::Conn;
use super::handler::Handler;
use super::stream::ClientStream;
use super::{h1, h2};

/// Serves the connection to its end, on a task of its own: what the handshake needed is free by then. `speaks_h2` as ALPN
/// said; `guard` is dropped at the end.
pub fn serve<T, H>(conn: Rc<Conn>, io: T, speaks_h2: bool, handler: H, guard: impl Sized + 'static)
where
    T: ClientStream + 'static,
    H: Handler,
{
    // Both end with the connection: by its deadlines, the worker's stop, or its abort.
    if speaks_h2 {
        tokio::task::spawn_local(async move {
            h2::serve(conn, io, handler).await;
            drop(guard);
        });
    } else {
        tokio::task::spawn_local(async move {
            h1::serve(conn, io, handler).await;
            drop(guard);
        });
    }
}
