//! GET over HTTP/2: several lanes, streams of one connection.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::sync::Mutex;

use super::connection::{WholeAnswer, no_answer, whole};
use super::exchange::{DemoTraffic, Judge};
use super::h1::check_greeting;
use crate::demo::stage::HOST;
use crate::demo::tally::TrafficKind;

type H2Sender = SendRequest<Full<Bytes>>;

/// The connection that the lanes share.
struct SharedConnection {
    traffic: Rc<DemoTraffic>,
    sender: RefCell<Option<H2Sender>>,
    /// One lane connects, the others wait for it.
    connecting: Mutex<()>,
}

pub(super) async fn lanes(traffic: Rc<DemoTraffic>, count: usize) {
    let shared = SharedConnection { traffic, sender: RefCell::default(), connecting: Mutex::default() };
    join_all((0..count).map(|_| lane(&shared))).await;
}

async fn lane(shared: &SharedConnection) {
    let get = async |judge: &Judge<'_>| {
        let answer = shared.get().await?;
        judge.check(answer.color)?;
        check_greeting(&answer)
    };
    shared.traffic.repeat(TrafficKind::H2, get).await;
}

impl SharedConnection {
    /// Asks on the connection, or on a new one if edgectl has ended the old one before this was sent (RFC 9113, 6.8).
    async fn get(&self) -> Result<WholeAnswer, String> {
        let uri = format!("https://{HOST}:{}/", self.traffic.listener.port());
        let mut request = Request::get(uri).body(Full::default()).map_err(|e| e.to_string())?;
        loop {
            match self.sender().await?.try_send_request(request).await {
                Ok(response) => return whole(response).await,
                Err(mut unsent) => match unsent.take_message() {
                    Some(message) => request = message,
                    None => return Err(no_answer(unsent.error())),
                },
            }
            self.sender.take();
        }
    }

    async fn sender(&self) -> Result<H2Sender, String> {
        let _turn = self.connecting.lock().await;
        let kept = self.sender.borrow().clone();
        if let Some(mut kept) = kept
            && kept.ready().await.is_ok()
        {
            return Ok(kept);
        }
        let io = self.traffic.trust.h2(self.traffic.listener).await?;
        let opened = http2::handshake(TokioExecutor::new(), io).await;
        let (sender, connection) = opened.map_err(|e| format!("no HTTP/2: {e}"))?;
        // Ends with the last sender. Its requests see what goes wrong.
        tokio::task::spawn_local(connection);
        self.sender.replace(Some(sender.clone()));
        Ok(sender)
    }
}
