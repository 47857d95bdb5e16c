//! A connection to where a name leads, bounded.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::verdict::Seen;

/// For the connection.
const CONNECT: Duration = Duration::from_secs(3);

/// For all that is said on it.
pub const ANSWER: Duration = Duration::from_secs(5);

pub async fn connect(to: SocketAddr) -> Result<TcpStream, Seen> {
    match timeout(CONNECT, TcpStream::connect(to)).await {
        Err(_) => Err(Seen::TimedOut),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Err(Seen::Refused),
        Ok(Err(error)) => Err(Seen::Unreachable(error.to_string())),
        Ok(Ok(stream)) => Ok(stream),
    }
}
