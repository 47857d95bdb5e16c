//! The bodies of our own answers, in the form that suits the client. nginx: `error_page`, `proxy_intercept_errors`.
//!
//! A browser gets a page: the operator's, or the one that is built in. A program gets problem+json or a line of text, a gRPC client its
//! status. Nothing that a client has sent is in them but the request id, whose characters are checked; what an operator wrote is escaped.

mod builtin;
mod form;
mod grpc;
mod own;
mod said;

use bytes::Bytes;
use http::HeaderValue;

pub use form::PageForm;
pub use grpc::grpc_status;
pub use own::ErrorPages;
pub use said::Said;

/// A body and what it is.
#[derive(Debug)]
pub struct Page {
    pub content_type: HeaderValue,
    pub body: Bytes,
}

/// `html`: the operator's own page for this, for who reads HTML.
pub fn page(said: &Said<'_>, form: PageForm, html: Option<&str>) -> Page {
    let (content_type, body) = match form {
        PageForm::Html => {
            ("text/html; charset=utf-8", html.map_or_else(|| builtin::html(said), |page| own::filled(page, said)))
        }
        PageForm::Json => ("application/problem+json", builtin::json(said)),
        PageForm::Text => ("text/plain; charset=utf-8", builtin::text(said)),
    };
    Page { content_type: HeaderValue::from_static(content_type), body: body.into() }
}
