//! The bytes of a client, whatever they come over.

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream from a client: TCP, TLS or a unix socket.
pub trait ClientStream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> ClientStream for T {}
