//! The socket itself: its file, its mode, its end.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use axum::extract::ConnectInfo;

use super::caller::Caller;
use super::routes;
use crate::admin::state::AdminState;
use crate::listen::{BindError, bind_unix};
use crate::management::{self, Closing};
use crate::types::ListenAddr;

/// The owner and its group may connect, and no one else.
const MODE: u32 = 0o660;

/// Binds the admin socket, which has mode 0660 before anything can connect to it, whatever the umask is. A socket of a dead
/// process is replaced; a socket that answers is an error.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let fail = |reason| BindError { addr: ListenAddr::Unix(path.to_owned()), reason };
    bind_unix(path, Some(MODE)).map_err(fail)
}

/// Answers until `closing`, and never returns. A switch may run as long as its gate and drain take. Dropped, it ends every answer: the
/// operations go on in control.
pub async fn serve(listener: UnixListener, state: AdminState, closing: Closing) -> io::Result<Infallible> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let describe = |stream: &tokio::net::UnixStream, known: &mut axum::http::Extensions| {
        known.insert(ConnectInfo(Caller::of(stream)));
    };
    Ok(management::serve(listener, routes::router(state), describe, closing).await)
}
