//! Waiting until a connection may hold more.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use crate::resources::HeldAccount;

/// How often it is looked whether other connections have given something back.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What waits; it has a timer only while it does.
#[derive(Default)]
pub(super) struct RoomWait(Option<Pin<Box<Sleep>>>);

impl RoomWait {
    /// Ready once `may_go_on`.
    pub fn poll(
        &mut self,
        account: &HeldAccount,
        may_go_on: impl Fn(&HeldAccount) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        while !may_go_on(account) {
            account.wake_when_less(cx);
            let timer = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK_AGAIN)));
            ready!(timer.as_mut().poll(cx));
            self.0 = None;
        }
        self.0 = None;
        Poll::Ready(())
    }
}
