//! The scan against the codec that reads behind it: where the scan finds no fault, both see the same requests.
//!
//! For tests and fuzz targets.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response, Version, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::scan::HeadScan;

/// What the codec has read: the length of each request's body, `None` where it broke off.
struct Read {
    bodies: Vec<Option<u64>>,
    /// The codec was content with all of it: it has refused nothing, no body broke off, and no request was the last by its own words.
    is_whole: bool,
}

/// An error says how the two differ.
pub fn compare(bytes: &[u8]) -> Result<(), String> {
    let mut scan = HeadScan::default();
    // The chunks of each request's body, as announced.
    let mut announced: Vec<u64> = Vec::new();
    for byte in bytes {
        if scan.feed(&[*byte], &mut Vec::new()).is_err() {
            return Ok(());
        }
        let (heads, sum) = scan.announced();
        announced.resize(usize::try_from(heads).unwrap_or(usize::MAX), 0);
        if let Some(last) = announced.last_mut() {
            *last = (*last).max(sum);
        }
    }
    let Read { bodies, is_whole } = read_by_codec(bytes);
    if bodies.len() > announced.len() {
        return Err(format!("the codec has seen {} requests, the scan {}", bodies.len(), announced.len()));
    }
    if is_whole && bodies.len() < announced.len() {
        return Err(format!("the scan has seen {} requests, the codec {}", announced.len(), bodies.len()));
    }
    for (number, (body, announced)) in bodies.iter().zip(announced).enumerate() {
        if body.is_some_and(|length| announced > 0 && length != announced) {
            return Err(format!(
                "the body of request {number} has {body:?} bytes for the codec, {announced} for the scan"
            ));
        }
    }
    Ok(())
}

fn read_by_codec(bytes: &[u8]) -> Read {
    let bodies: Rc<RefCell<Vec<Option<u64>>>> = Rc::default();
    let noted = bodies.clone();
    let ends_early: Rc<Cell<bool>> = Rc::default();
    let end = ends_early.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let bodies = noted.clone();
        // The codec reads nothing behind such a request; the scan does, and nobody acts on it.
        if request.version() == Version::HTTP_10 || request.headers().contains_key(header::CONNECTION) {
            end.set(true);
        }
        async move {
            let number = bodies.borrow().len();
            bodies.borrow_mut().push(None);
            if let Ok(body) = request.into_body().collect().await {
                bodies.borrow_mut()[number] = Some(body.to_bytes().len() as u64);
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        return Read { bodies: Vec::new(), is_whole: false };
    };
    let is_whole = runtime.block_on(async {
        // Room for all answers too: no one reads them before the codec has ended.
        let (near, mut far) = tokio::io::duplex(bytes.len() * 8 + 64 * 1024);
        let written = far.write_all(bytes).await.is_ok() && far.shutdown().await.is_ok();
        let codec = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(near), service);
        let is_content = codec.await.is_ok();
        let mut answers = Vec::new();
        let has_refused =
            far.read_to_end(&mut answers).await.is_err() || memchr::memmem::find(&answers, b"HTTP/1.1 4").is_some();
        written && is_content && !has_refused && !ends_early.get()
    });
    let bodies = bodies.take();
    Read { is_whole: is_whole && bodies.iter().all(Option::is_some), bodies }
}
