//! POST with a body that has to come back as it was. The proxy may not send it twice, so no retry hides a loss.

use std::rc::Rc;

use bytes::Bytes;

use super::connection::{KeptConnection, request};
use super::exchange::{DemoTraffic, Judge};
use crate::demo::tally::TrafficKind;

/// From a form to a photo.
const SIZES: [usize; 4] = [100, 4_000, 40_000, 400_000];

pub(super) async fn lane(traffic: Rc<DemoTraffic>) {
    let bodies = SIZES.map(|size| std::iter::repeat_with(|| fastrand::u8(..)).take(size).collect::<Bytes>());
    let mut bodies = bodies.iter().cycle();
    let mut connection = KeptConnection::default();
    let post = async |judge: &Judge<'_>| {
        let body = bodies.next().cloned().unwrap_or_default();
        let answer = connection.ask(&traffic, request("POST", "/upload", body.clone())?).await?;
        judge.check(answer.color)?;
        if answer.body == body { Ok(()) } else { Err("the body did not come back as it was".to_owned()) }
    };
    traffic.repeat(TrafficKind::Post, post).await;
}
