//! What a running operation streams, and answers that are no status.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::control::{HistoryRecord, OperationDone, OperationEvent};
use crate::types::Color;

/// The media type that asks for steps: one JSON value a line.
pub const NDJSON: &str = "application/x-ndjson";

/// One line of a streamed operation. The last one is an [`OperationEnd`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StreamLine {
    End(OperationEnd),
    Step(OperationEvent),
    /// A step that a newer daemon knows; it is skipped.
    Other(serde_json::Value),
}

/// How the operation ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum OperationEnd {
    Result { result: OperationDone },
    Error { problem: Problem },
}

/// `GET /v1/history` and `/v1/services/NAME/history`, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryRecords {
    pub records: Vec<HistoryRecord>,
}

/// Answer to `preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewLink {
    pub service: String,
    pub color: Color,
    /// On the first site that has a route to the service.
    pub url: String,
    /// On its other sites. A link is for its own host, but the token in it is valid on all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    pub expires: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::wire::ProblemCode;

    fn reread(line: &StreamLine) -> (String, StreamLine) {
        let text = serde_json::to_string(line).unwrap();
        let line = serde_json::from_str(&text).unwrap();
        (text, line)
    }

    #[test]
    fn a_streamed_step_reads_back() {
        let step = OperationEvent::Flipped { from: Color::Blue, to: Color::Green, generation: 8, took_us: 312 };
        let (text, line) = reread(&StreamLine::Step(step));
        assert_eq!(text, r#"{"event":"flipped","from":"blue","to":"green","generation":8,"took_us":312}"#);
        assert!(matches!(line, StreamLine::Step(OperationEvent::Flipped { generation: 8, .. })), "{line:?}");
    }

    #[test]
    fn the_last_line_reads_back() {
        let problem = Problem::new(ProblemCode::ShuttingDown, "the daemon is shutting down");
        let (text, line) = reread(&StreamLine::End(OperationEnd::Error { problem: problem.clone() }));
        assert!(text.starts_with(r#"{"event":"error","problem":{"#), "{text}");
        assert!(matches!(line, StreamLine::End(OperationEnd::Error { problem: read }) if read == problem));
    }

    #[test]
    fn a_step_of_a_newer_daemon_is_no_error() {
        let line: StreamLine = serde_json::from_str(r#"{"event":"watching","for_ms":1}"#).unwrap();
        assert!(matches!(line, StreamLine::Other(_)), "{line:?}");
    }
}
