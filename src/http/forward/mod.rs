//! A request to its service, and the backend's answer to the client.
//!
//! In order: [`arrive`] reads what we once gave the client, [`head`] makes the head the proxy's own, [`gather`] reads the body,
//! [`entry`] counts the exchange into a colour's pool, [`attempt`] tries one backend after another, and [`respond`] passes the answer
//! on. Never answers by itself: a failure goes back to [`super::answer`].

mod address;
mod arrive;
mod attempt;
mod entry;
mod gather;
mod head;
mod hints;
mod pipeline;
mod respond;

pub use pipeline::forward;
