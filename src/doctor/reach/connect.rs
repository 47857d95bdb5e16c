//! A connection to where a name leads, bounded.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::verdict::PortAnswer;

/// For the connection.
const CONNECT: Duration = Duration::from_secs(3);

/// For the whole exchange on it.
pub const ANSWER: Duration = Duration::from_secs(5);

pub async fn connect(to: SocketAddr) -> Result<TcpStream, PortAnswer> {
    match timeout(CONNECT, TcpStream::connect(to)).await {
        Err(_) => Err(PortAnswer::TimedOut),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Err(PortAnswer::Refused),
        Ok(Err(error)) => Err(PortAnswer::Unreachable(error.to_string())),
        Ok(Ok(stream)) => Ok(stream),
    }
}
