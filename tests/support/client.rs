//! An HTTP/1.1 client that says exactly what a test wants said.

use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};

use super::wire::{Duplex, Head, Wire};

/// One connection to the daemon.
pub struct Client {
    wire: Wire,
    host: String,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: Head,
    pub body: Vec<u8>,
    /// `name: value` lines.
    pub trailers: String,
}

impl Client {
    pub fn connect(to: SocketAddr, host: &str) -> Self {
        let stream = TcpStream::connect(to).unwrap_or_else(|error| panic!("{to}: {error}"));
        stream.set_nodelay(true).unwrap();
        Self::on(stream, host)
    }

    pub fn on(io: impl Duplex + 'static, host: &str) -> Self {
        Self { wire: Wire::new(io), host: host.to_owned() }
    }

    /// The host it asks for.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "", "")
    }

    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &format!("Content-Length: {}\r\n", body.len()), body)
    }

    /// `fields` are whole lines, each with its CRLF.
    pub fn ask(&mut self, method: &str, path: &str, fields: &str, body: &str) -> Answer {
        self.begin(method, path, fields);
        self.send(body);
        self.answer_to(method)
    }

    /// Sends a head; the test sends what follows.
    pub fn begin(&mut self, method: &str, path: &str, fields: &str) -> &mut Self {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.host);
        self.send(head);
        self
    }

    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    pub fn answer_to(&mut self, method: &str) -> Answer {
        self.try_answer_to(method).expect("an answer before the connection closes")
    }

    /// `None`: closed without an answer.
    pub fn try_answer(&mut self) -> Option<Answer> {
        self.try_answer_to("GET")
    }

    /// `None`: closed without an answer, or in the middle of one.
    pub fn try_whole_answer(&mut self) -> Option<Answer> {
        let head = self.head()?;
        let (body, trailers) = self.wire.try_body(&head.answer_framing("GET")).ok()?;
        Some(Answer::new(head, body, trailers))
    }

    fn try_answer_to(&mut self, method: &str) -> Option<Answer> {
        let head = self.head()?;
        let (body, trailers) = self.wire.body(&head.answer_framing(method));
        Some(Answer::new(head, body, trailers))
    }
}

impl Answer {
    fn new(head: Head, body: Vec<u8>, trailers: String) -> Self {
        Self { status: head.word(1).parse().unwrap(), head, body, trailers }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    pub fn id(&self) -> &str {
        self.get("x-request-id").unwrap_or_else(|| panic!("no request id in {:?}", self.head))
    }
}

impl Deref for Client {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}
