//! HTTP/2 over the `h2` crate: a lane is one stream after another on a connection shared with other lanes.

use std::future::poll_fn;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::task::JoinHandle;

use super::request::Request;
use super::tls;

/// A browser's windows (Chromium's): what the client allows to be on its way, so that the proxy's own limits show.
const STREAM_WINDOW: u32 = 6 << 20;
const CONNECTION_WINDOW: u32 = 15 << 20;

/// One stream at a time. Clones share the connection, which ends with the last of them.
#[derive(Clone)]
pub struct Lane {
    requests: SendRequest<Bytes>,
    _driver: Arc<Driver>,
}

/// Moves the connection's frames; owned by its lanes.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Lane {
    pub async fn connect(io: tls::Stream) -> Result<Lane> {
        let (requests, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(io)
            .await
            .context("cannot start h2")?;
        // The requests on the connection report what goes wrong with it.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Lane { requests, _driver: Arc::new(Driver(driver)) })
    }

    /// Asks, and checks that the answer is a 200 of the right length.
    pub async fn get(&mut self, request: &Request) -> Result<()> {
        poll_fn(|context| self.requests.poll_ready(context)).await.context("h2 takes no more requests")?;
        let sent = self.requests.send_request(request.h2.clone(), request.body.is_empty());
        let (answer, mut upload) = sent.context("cannot send the request")?;
        if !request.body.is_empty() {
            upload.send_data(request.body.clone(), true).context("cannot send the body")?;
        }
        let answer = answer.await.context("no answer")?;
        ensure!(answer.status() == 200, "answered with status {}", answer.status());
        let mut body = answer.into_body();
        let mut have = 0;
        while let Some(data) = body.data().await {
            let data = data.context("cannot read the answer")?;
            have += data.len();
            body.flow_control().release_capacity(data.len())?;
        }
        ensure!(have == request.len, "answered with {have} bytes instead of {}", request.len);
        Ok(())
    }
}
