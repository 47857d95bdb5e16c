//! GET over HTTP/1.1 and TLS, one kept-alive connection a lane.

use std::rc::Rc;

use bytes::Bytes;

use super::connection::{KeptConnection, WholeAnswer, request};
use super::exchange::{DemoTraffic, Judge};
use crate::demo::backend::greeting;
use crate::demo::tally::TrafficKind;

pub(super) async fn lane(traffic: Rc<DemoTraffic>) {
    let mut connection = KeptConnection::default();
    let get = async |judge: &Judge<'_>| {
        let answer = connection.ask(&traffic, request("GET", "/", Bytes::new())?).await?;
        judge.check(answer.color)?;
        check_greeting(&answer)
    };
    traffic.repeat(TrafficKind::H1, get).await;
}

/// The body is the colour's own.
pub(super) fn check_greeting(answer: &WholeAnswer) -> Result<(), String> {
    if answer.body == greeting(answer.color) { Ok(()) } else { Err("the body is not what was sent".to_owned()) }
}
