//! An operation that runs, answered line by line as its steps happen, or once at its end.
//!
//! The operation belongs to control: a client that goes away ends the answer, never the operation.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

use super::problem::Problem;
use super::wire::{End, Line};
use crate::control::{Done, Event, Handle, Refused, Request};

/// The media type that asks for steps.
pub const NDJSON: &str = "application/x-ndjson";

/// Starts `request` and answers in the way that was asked for.
pub(super) async fn answer(control: &Handle, request: Request, streams: bool) -> Result<Response, Problem> {
    let running = Running::start(control.clone(), request);
    if streams {
        return Ok(running.into_response());
    }
    Ok(Json(running.end().await?).into_response())
}

/// One operation and what it has said so far.
struct Running {
    events: mpsc::UnboundedReceiver<Event>,
    answer: oneshot::Receiver<Result<Done, Refused>>,
}

impl Running {
    fn start(control: Handle, request: Request) -> Self {
        let (events, incoming) = mpsc::unbounded_channel();
        let (answer, answered) = oneshot::channel();
        // Ends with the operation, which control bounds.
        tokio::spawn(async move {
            let _ = answer.send(control.run(request, events).await);
        });
        Self { events: incoming, answer: answered }
    }

    async fn end(self) -> Result<Done, Refused> {
        self.answer.await.unwrap_or(Err(Refused::ShuttingDown))
    }

    /// The next step's line; with the end, all lines that are left. `None` beside it: that was the last.
    async fn next(mut self) -> (Vec<u8>, Option<Self>) {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => (line(&Line::Step(event)), Some(self)),
            result = &mut self.answer => {
                let mut text = Vec::new();
                while let Ok(event) = self.events.try_recv() {
                    text.extend(line(&Line::Step(event)));
                }
                text.extend(line(&Line::End(end(result.unwrap_or(Err(Refused::ShuttingDown))))));
                (text, None)
            }
        }
    }
}

impl IntoResponse for Running {
    fn into_response(self) -> Response {
        let lines = stream::unfold(Some(self), async |running| {
            let (text, rest) = running?.next().await;
            Some((Ok::<_, Infallible>(Bytes::from(text)), rest))
        });
        (StatusCode::OK, [(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
    }
}

fn end(result: Result<Done, Refused>) -> End {
    match result {
        Ok(result) => End::Result { result },
        Err(refused) => End::Error { problem: refused.into() },
    }
}

fn line(line: &Line) -> Vec<u8> {
    // Our own types: strings, numbers and lists always serialize.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text
}
