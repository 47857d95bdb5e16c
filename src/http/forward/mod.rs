//! A request to its service, and the backend's answer to the client.
//!
//! In order: [`arrive`] reads what we once gave the client, [`head`] makes the head the proxy's own, [`entry`] counts the
//! exchange into a colour's pool, [`attempt`] tries backends that [`pick`] chooses, by the rules of [`retry`], and
//! [`respond`] passes the answer on. Never answers by itself: a failure goes back to [`super::answer`].

mod address;
mod arrive;
mod attempt;
mod entry;
mod head;
mod hints;
mod pick;
mod pipeline;
mod respond;
mod retry;

pub use pipeline::forward;
