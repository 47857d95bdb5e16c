//! One colour standing in for the other, and how control gets to know of it.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

/// One colour stands in for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detour {
    /// The other colour serves: the one that should has no healthy backend.
    Failover,
    /// The canary's clients are served by the colour that serves: the canary has no healthy backend.
    Fallback,
}

impl Detour {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Fallback => "fallback",
        }
    }
}

/// The detour that exchanges of a service take now. The exchanges of all workers report it; only a change wakes the watchers.
#[derive(Debug, Default)]
pub(super) struct Detours {
    /// That of the last exchange: 0 is none. Beside `published`, so that an exchange that changes nothing takes no lock.
    code: AtomicU8,
    published: watch::Sender<Option<Detour>>,
}

impl Detours {
    pub fn present(&self) -> Option<Detour> {
        *self.published.borrow()
    }

    /// Whether there is one, as far as the last exchange knew.
    pub fn any(&self) -> bool {
        self.code.load(Ordering::Relaxed) != 0
    }

    /// Wakes when a detour begins or ends.
    pub fn watch(&self) -> watch::Receiver<Option<Detour>> {
        self.published.subscribe()
    }

    pub fn take(&self, detour: Option<Detour>) {
        let code = match detour {
            None => 0,
            Some(Detour::Failover) => 1,
            Some(Detour::Fallback) => 2,
        };
        if self.code.load(Ordering::Relaxed) != code && self.code.swap(code, Ordering::Relaxed) != code {
            self.published.send_replace(detour);
        }
    }
}
