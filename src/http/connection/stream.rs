//! The bytes of a client, whatever they come over, and how their stream ends so that the last answer still arrives.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a client may still send that no one reads, and for how long. nginx: `lingering_close`.
pub(super) const LINGER_BYTES: u64 = 1 << 20;
pub(super) const LINGER_TIME: Duration = Duration::from_secs(2);

/// A byte stream from a client: TCP, TLS or a unix socket.
pub trait ClientStream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> ClientStream for T {}

/// Half-closes and reads on for a bounded while: closing with bytes unread would reset the connection, and the client
/// would lose the answer that says why (RFC 9112, 9.6).
pub(super) async fn linger(io: &mut impl ClientStream) {
    let drain = async {
        let _ = io.shutdown().await;
        let _ = tokio::io::copy(&mut io.take(LINGER_BYTES), &mut tokio::io::sink()).await;
    };
    let _ = tokio::time::timeout(LINGER_TIME, drain).await;
}
