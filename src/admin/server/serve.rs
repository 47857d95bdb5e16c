//! The socket itself: its file, its mode, its end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::caller::Caller;
use super::routes;
use crate::admin::state::AdminState;
use crate::listen::{BindError, bind_unix};
use crate::types::ListenAddr;

/// The owner and its group may connect, and no one else.
const MODE: u32 = 0o660;

/// Binds the admin socket with mode 0660, whatever the umask is. A socket of a dead process is replaced; a socket that answers
/// is an error.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let fail = |reason| BindError { addr: ListenAddr::Unix(path.to_owned()), reason };
    let listener = bind_unix(path).map_err(fail)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))
        .map_err(|error| fail(format!("its mode cannot be set: {error}")))?;
    Ok(listener)
}

/// Answers until `shutdown` ends, then takes no new request and waits for those that run. A switch may run as long as its gate
/// and drain take. To leave sooner, drop this future: the operations go on in control.
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
