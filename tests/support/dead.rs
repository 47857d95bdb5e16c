//! An address that swallows what is sent to it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::wait::wait_until;

/// An address on which a connection is neither accepted nor refused, like that of a container that is gone.
pub struct DeadAddress {
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl DeadAddress {
    /// Its queue is full, so the kernel drops what asks for a connection.
    pub fn at(addr: SocketAddr) -> Self {
        let listener = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
        listener.set_reuse_address(true).unwrap();
        // What listened there before may be on its way out.
        wait_until("the address to be free", || listener.bind(&addr.into()).is_ok());
        listener.listen(0).unwrap();
        let connect = || TcpStream::connect_timeout(&addr, Duration::from_millis(200));
        let waiting = std::iter::from_fn(|| connect().ok()).take(16).collect::<Vec<_>>();
        assert!(waiting.len() < 16, "its queue has no end");
        Self { _listener: listener, _waiting: waiting }
    }
}
