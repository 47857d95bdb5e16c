//! An operation on the admin socket, which a test reads step by step as it happens.

use std::io;

use serde_json::Value;

use super::client::Client;
use super::edge::Edge;

/// A stream of NDJSON. When it is dropped, the caller is gone and the operation goes on.
pub struct Steps {
    client: Client,
    rest: Vec<u8>,
}

impl Steps {
    /// `POST /v1/services/app/VERB`.
    pub fn of(edge: &Edge, verb: &str, ask: &Value) -> Self {
        let body = ask.to_string();
        let mut client = edge.api();
        let fields = format!("Accept: application/x-ndjson\r\nContent-Length: {}\r\n", body.len());
        client.begin("POST", &format!("/v1/services/app/{verb}"), &fields).send(body);
        let head = client.head().expect("an answer");
        assert_eq!(head.word(1), "200", "{head:?}");
        Self { client, rest: Vec::new() }
    }

    /// The next step; an error when the daemon is gone.
    pub fn step(&mut self) -> io::Result<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line)?);
            }
            let chunk = self.client.chunk()?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.rest.extend(chunk);
        }
    }

    /// Reads on to the next step of this name.
    #[track_caller]
    pub fn until(&mut self, event: &str) -> Value {
        let mut told = Vec::new();
        loop {
            let step = self.step().unwrap_or_else(|error| panic!("no step {event}, only {told:?}: {error}"));
            if step["event"] == event {
                return step;
            }
            told.push(step);
        }
    }
}
