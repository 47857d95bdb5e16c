//! The process on the other end of the socket.

use tokio::net::UnixStream;

use crate::control::Actor;

/// The process that connected, as the kernel says (SO_PEERCRED).
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    uid: Option<u32>,
    pid: Option<i32>,
}

/// The kernel's uid for "nobody": a peer without credentials counts as this one.
const NOBODY: u32 = 65_534;

impl Caller {
    pub fn of(stream: &UnixStream) -> Self {
        let peer = stream.peer_cred().ok();
        Self { uid: peer.map(|p| p.uid()), pid: peer.and_then(|p| p.pid()) }
    }

    pub fn actor(self) -> Actor {
        Actor::new(self.uid.unwrap_or(NOBODY), self.pid)
    }
}
