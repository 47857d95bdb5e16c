//! The answer to an operation: a line for each step while it runs, or one value at its end.
//!
//! The operation belongs to control: when a client goes away, its answer ends and the operation goes on.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

use crate::admin::wire::{NDJSON, OperationEnd, Problem, StreamLine};
use crate::control::{OperationDone, OperationEvent, OperationRefused, OperationRequest, OperatorHandle};

/// Starts `request` and answers in the way that the client asked for.
pub async fn answer(control: &OperatorHandle, request: OperationRequest, streams: bool) -> Result<Response, Problem> {
    let running = RunningOperation::start(control.clone(), request);
    if streams {
        return Ok(running.into_response());
    }
    Ok(Json(running.end().await?).into_response())
}

/// One operation, with its steps that are not sent yet.
struct RunningOperation {
    events: mpsc::UnboundedReceiver<OperationEvent>,
    answer: oneshot::Receiver<Result<OperationDone, OperationRefused>>,
}

impl RunningOperation {
    fn start(control: OperatorHandle, request: OperationRequest) -> Self {
        let (events, incoming) = mpsc::unbounded_channel();
        let (answer, answered) = oneshot::channel();
        // Ends with the operation, which control bounds.
        tokio::spawn(async move {
            let _ = answer.send(control.run(request, events).await);
        });
        Self { events: incoming, answer: answered }
    }

    async fn end(self) -> Result<OperationDone, OperationRefused> {
        self.answer.await.unwrap_or(Err(OperationRefused::ShuttingDown))
    }

    /// The line of the next step; or, at the end, all lines that are left, and `None` for what follows.
    async fn next(mut self) -> (Vec<u8>, Option<Self>) {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => (line(&StreamLine::Step(event)), Some(self)),
            result = &mut self.answer => {
                let mut text = Vec::new();
                while let Ok(event) = self.events.try_recv() {
                    text.extend(line(&StreamLine::Step(event)));
                }
                text.extend(line(&StreamLine::End(end(result.unwrap_or(Err(OperationRefused::ShuttingDown))))));
                (text, None)
            }
        }
    }
}

impl IntoResponse for RunningOperation {
    fn into_response(self) -> Response {
        let lines = stream::unfold(Some(self), async |running| {
            let (text, rest) = running?.next().await;
            Some((Ok::<_, Infallible>(Bytes::from(text)), rest))
        });
        (StatusCode::OK, [(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
    }
}

fn end(result: Result<OperationDone, OperationRefused>) -> OperationEnd {
    match result {
        Ok(result) => OperationEnd::Result { result },
        Err(refused) => OperationEnd::Error { problem: refused.into() },
    }
}

fn line(line: &StreamLine) -> Vec<u8> {
    // These types have strings, numbers and lists only, which always serialize.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text
}
