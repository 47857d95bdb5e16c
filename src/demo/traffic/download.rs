//! Long downloads: sent slowly, each during one of the switches, with every byte compared.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http::StatusCode;
use http_body_util::BodyExt;

use super::connection::{KeptConnection, broke_off, color_of, request};
use super::exchange::{DemoTraffic, Judge, PATIENCE};
use crate::demo::backend::{PIECE, PIECE_EVERY, download_byte};
use crate::demo::tally::TrafficKind;

/// Two downloads fill the run: one runs during the switch, the next one during the rollback.
pub(super) async fn lane(traffic: Rc<DemoTraffic>) {
    let length = traffic.run_for * 9 / 20;
    while Instant::now() + length < traffic.until {
        let judge = traffic.judge();
        traffic.count(TrafficKind::Download, length * 2 + PATIENCE, download(&traffic, &judge, length)).await;
    }
}

async fn download(traffic: &DemoTraffic, judge: &Judge<'_>, length: Duration) -> Result<(), String> {
    let pieces = length.as_millis() / PIECE_EVERY.as_millis();
    let mut connection = KeptConnection::default();
    let path = format!("/download/{pieces}");
    let response = connection.send(traffic, request("GET", &path, Bytes::new())?).await?;
    judge.check(color_of(&response, StatusCode::OK)?)?;
    let mut body = response.into_body();
    let mut have = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| broke_off(&e))?;
        let data = frame.into_data().unwrap_or_default();
        if !data.iter().enumerate().all(|(at, byte)| *byte == download_byte(have + at)) {
            return Err(format!("a wrong byte in {} after {have}", data.remaining()));
        }
        have += data.len();
    }
    match u128::try_from(have / PIECE) {
        Ok(whole) if whole == pieces && have % PIECE == 0 => Ok(()),
        _ => Err(format!("ended after {have} bytes")),
    }
}
