//! All lanes of the demo.

use std::rc::Rc;

use tokio::task::JoinSet;

use super::exchange::DemoTraffic;
use super::{download, h1, h2, post, websocket};

/// Starts every lane. A lane ends when the time is up and its last exchange has ended.
pub fn start(traffic: &Rc<DemoTraffic>) -> JoinSet<()> {
    let mut lanes = JoinSet::new();
    for _ in 0..4 {
        lanes.spawn_local(h1::lane(traffic.clone()));
    }
    for _ in 0..2 {
        lanes.spawn_local(post::lane(traffic.clone()));
        lanes.spawn_local(download::lane(traffic.clone()));
    }
    lanes.spawn_local(h2::lanes(traffic.clone(), 4));
    lanes.spawn_local(websocket::lane(traffic.clone(), traffic.run_for));
    lanes.spawn_local(websocket::lane(traffic.clone(), traffic.run_for / 20));
    lanes
}
