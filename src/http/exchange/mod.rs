//! One exchange: what was asked, how far it has come, how it ended.
//!
//! Owns the record that is logged and counted when it is dropped, whatever ended the exchange, and the request's body on its
//! way. Decides nothing and sends nothing: `forward` and `answer` note here what they do.

mod media_type;
mod outcome;
mod progress;
mod record;
mod request;
mod upload;
mod whole;

pub use media_type::{is_event_stream, is_grpc};
pub use record::Exchange;
pub use request::ClientRequest;
pub use upload::Upload;
pub use whole::WholeBody;
