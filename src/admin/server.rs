//! The socket itself: its file, its mode, who is on the other end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;

use super::routes;
use super::state::AdminState;
use crate::control::Actor;
use crate::listen::{BindError, bind_unix};
use crate::types::ListenAddr;

/// The owner and its group may operate; nobody else may connect.
const MODE: u32 = 0o660;

/// Binds the admin socket with mode 0660, whatever the umask. A socket left by a dead process is replaced; one that
/// answers is refused.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let fail = |reason| BindError { addr: ListenAddr::Unix(path.to_owned()), reason };
    let listener = bind_unix(path).map_err(fail)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))
        .map_err(|error| fail(format!("its mode cannot be set: {error}")))?;
    Ok(listener)
}

/// Answers until `shutdown` ends; then takes no new request and waits for those that run. A switch runs as long as its
/// gate and drain: whoever must leave sooner drops this future, and the operations go on in control.
pub async fn serve(
    listener: UnixListener,
    state: AdminState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let app = routes::router(state).into_make_service_with_connect_info::<Caller>();
    axum::serve(listener, app).with_graceful_shutdown(shutdown).await
}

/// The process that connected, as the kernel says (SO_PEERCRED).
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    uid: Option<u32>,
    pid: Option<i32>,
}

/// The kernel's own word for nobody: what a peer without credentials counts as.
const NOBODY: u32 = 65_534;

impl Caller {
    pub fn actor(self) -> Actor {
        Actor::new(self.uid.unwrap_or(NOBODY), self.pid)
    }
}

impl Connected<IncomingStream<'_, tokio::net::UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, tokio::net::UnixListener>) -> Self {
        let peer = stream.io().peer_cred().ok();
        Self { uid: peer.map(|p| p.uid()), pid: peer.and_then(|p| p.pid()) }
    }
}
