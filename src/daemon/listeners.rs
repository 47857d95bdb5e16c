//! The open sockets, and what a new config changes about them.

use std::cell::RefCell;
use std::sync::Arc;

use crate::config::Server;
use crate::listen::{BindError, Listener, bind};
use crate::types::ListenAddr;
use crate::worker::Orders;

/// Every client-facing socket.
#[derive(Default)]
pub(super) struct Listeners {
    open: RefCell<Vec<Arc<Listener>>>,
}

/// New sockets that are bound and not yet announced; dropped, they close again.
pub(super) struct Prepared {
    added: Vec<Arc<Listener>>,
    removed: Vec<Arc<Listener>>,
}

impl Listeners {
    /// Stops accepting connections, at the end of the daemon.
    pub fn close(&self) {
        for listener in self.open.borrow().iter() {
            listener.close();
        }
    }

    pub fn open(&self) -> Vec<Arc<Listener>> {
        self.open.borrow().clone()
    }

    /// Binds what `server` adds. An error leaves everything as it is.
    pub fn prepare(&self, server: &Server) -> Result<Prepared, BindError> {
        let plain = server.http.iter().map(|addr| (addr, false));
        let wanted: Vec<(&ListenAddr, bool)> = plain.chain(server.https.iter().map(|addr| (addr, true))).collect();
        let open = self.open.borrow();
        let is_open = |(addr, tls): (&ListenAddr, bool)| open.iter().any(|l| l.addr == *addr && l.tls == tls);
        let removed = open.iter().filter(|l| !wanted.contains(&(&l.addr, l.tls))).cloned().collect();
        let added = wanted.iter().filter(|want| !is_open(**want)).map(|(addr, tls)| bind(addr, *tls).map(Arc::new));
        Ok(Prepared { added: added.collect::<Result<_, _>>()?, removed })
    }

    /// New listeners accept first, then old ones close; the connections that they have accepted finish. Returns what has changed,
    /// in words.
    pub async fn apply(&self, prepared: Prepared, workers: &Orders) -> Vec<String> {
        let mut changes = Vec::new();
        for listener in prepared.added {
            workers.listen(&listener);
            changes.push(format!("listening on {}", listener.addr));
            self.open.borrow_mut().push(listener);
        }
        for listener in prepared.removed {
            self.open.borrow_mut().retain(|l| l.id != listener.id);
            listener.close();
            workers.unlisten(listener.id).await;
            changes.push(format!("no longer listening on {}", listener.addr));
        }
        changes
    }
}
