//! GET over HTTP/1.1 and TLS, one kept-alive connection a lane.

use std::rc::Rc;

use bytes::Bytes;

use super::connection::{Answer, Connection, request};
use super::{Kind, Traffic};
use crate::demo::backend::greeting;

pub(super) async fn lane(traffic: Rc<Traffic>) {
    let mut connection = Connection::default();
    let get = async |judge: &super::Judge<'_>| {
        let answer = connection.ask(&traffic, request("GET", "/", Bytes::new())?).await?;
        judge.check(answer.color)?;
        check_greeting(&answer)
    };
    traffic.repeat(Kind::H1, get).await;
}

/// The body is the colour's own.
pub(super) fn check_greeting(answer: &Answer) -> Result<(), String> {
    if answer.body == greeting(answer.color) { Ok(()) } else { Err("the body is not what was sent".to_owned()) }
}
