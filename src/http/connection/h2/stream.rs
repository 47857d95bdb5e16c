//! One stream: its answer's head, then its body as fast as the client takes it.
//!
//! A part of a body is asked for when the one before is the codec's, and given to the codec when the client's windows have room; what
//! the codec holds is in the connection's account.

use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use pin_project_lite::pin_project;

use super::room::RoomWait;
use crate::http::connection::conn::Conn;
use crate::http::connection::read_ahead::AnswerFrames;
use crate::resources::{HeldAccount, HeldBytes};

pin_project! {
    /// A stream's task. It is over when all of the answer is the codec's, or when the client has reset the stream.
    pub(super) struct ServedStream<F, B> {
        conn: Rc<Conn>,
        // Which of the connection's exchanges it is.
        exchange: u64,
        respond: SendResponse<HeldBytes>,
        #[pin]
        state: StreamState<F, B>,
    }
}

pin_project! {
    #[project = StreamStateProjection]
    enum StreamState<F, B> {
        Answering { #[pin] answer: F },
        Sending { #[pin] sending: Sending<B> },
    }
}

pin_project! {
    /// The body of an answer whose head is sent.
    struct Sending<B> {
        stream: SendStream<HeldBytes>,
        #[pin]
        body: B,
        // What waits for the client's windows; whether it is the last.
        part: Option<(HeldBytes, bool)>,
        room: RoomWait,
        // By its client, not by its backend.
        is_held_up: bool,
    }
}

impl<F, B> ServedStream<F, B> {
    pub fn new(conn: &Rc<Conn>, respond: SendResponse<HeldBytes>, answer: F) -> Self {
        Self { conn: conn.clone(), exchange: conn.exchanges(), respond, state: StreamState::Answering { answer } }
    }
}

impl<F, B, E> Future for ServedStream<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: AnswerFrames<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.as_mut().project();
        loop {
            match this.state.as_mut().project() {
                StreamStateProjection::Answering { answer } => {
                    let answer = answer.poll(cx);
                    for fields in this.conn.hints().take(*this.exchange) {
                        let _ = this.respond.send_informational(early_hints(fields));
                    }
                    let Poll::Ready(answer) = answer else { return this.respond.poll_reset(cx).map(drop) };
                    let Ok(answer) = answer else { return Poll::Ready(()) };
                    match begin(this.conn, this.respond, answer) {
                        Some(sending) => this.state.set(StreamState::Sending { sending }),
                        None => return Poll::Ready(()),
                    }
                }
                StreamStateProjection::Sending { sending } => return sending.poll(this.conn, cx),
            }
        }
    }
}

fn early_hints(fields: HeaderMap) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = StatusCode::EARLY_HINTS;
    *head.headers_mut() = fields;
    head
}

/// Sends the head. `None`: nothing follows it.
fn begin<B: AnswerFrames>(
    conn: &Conn,
    respond: &mut SendResponse<HeldBytes>,
    answer: Response<B>,
) -> Option<Sending<B>> {
    let (mut head, body) = answer.into_parts();
    let headers = &mut head.headers;
    if !headers.contains_key(header::DATE) {
        headers.insert(header::DATE, conn.worker().dates.now());
    }
    let is_last = body.is_end_stream();
    if !is_last
        && let Some(length) = body.size_hint().exact()
        && !headers.contains_key(header::CONTENT_LENGTH)
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    match respond.send_response(Response::from_parts(head, ()), is_last) {
        Ok(stream) => {
            (!is_last).then(|| Sending { stream, body, part: None, room: RoomWait::default(), is_held_up: false })
        }
        Err(error) => {
            tracing::debug!(%error, "answer not sent");
            respond.send_reset(Reason::INTERNAL_ERROR);
            None
        }
    }
}

impl<B> Sending<B>
where
    B: AnswerFrames<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    /// Ready when the body has ended, or the client has.
    fn poll(mut self: Pin<&mut Self>, conn: &Conn, cx: &mut Context<'_>) -> Poll<()> {
        let ended = self.as_mut().poll_sent(conn, cx);
        let this = self.project();
        if ended.is_pending() && *this.is_held_up {
            this.body.read_ahead(cx);
        }
        ended
    }

    fn poll_sent(mut self: Pin<&mut Self>, conn: &Conn, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.as_mut().project();
        loop {
            // Also: woken when the client resets the stream.
            if this.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            *this.is_held_up = true;
            // An empty part needs no room in the client's windows.
            if this.part.as_ref().is_some_and(|(part, _)| part.has_remaining())
                && !ready!(has_capacity(this.stream, cx))
            {
                return Poll::Ready(());
            }
            if let Some((part, is_last)) = this.part.take()
                && (this.stream.send_data(part, is_last).is_err() || is_last)
            {
                return Poll::Ready(());
            }
            ready!(this.room.poll(conn.held(), HeldAccount::has_room, cx));
            *this.is_held_up = false;
            let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) else {
                let _ = this.stream.send_data(HeldBytes::none(conn.held()), true);
                return Poll::Ready(());
            };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => {
                    this.stream.reserve_capacity(usize::from(!data.is_empty()));
                    *this.part = Some((conn.held().hold(data), this.body.is_end_stream()));
                }
                Ok(Err(other)) => {
                    if let Ok(trailers) = other.into_trailers() {
                        this.stream.reserve_capacity(0);
                        let _ = this.stream.send_trailers(trailers);
                        return Poll::Ready(());
                    }
                }
                Err(_) => {
                    this.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(());
                }
            }
        }
    }
}

/// Whether the part that waits may go: the client's windows have room for some of it. False: the stream is closed.
fn has_capacity(stream: &mut SendStream<HeldBytes>, cx: &mut Context<'_>) -> Poll<bool> {
    while stream.capacity() == 0 {
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(false),
        }
    }
    Poll::Ready(true)
}
