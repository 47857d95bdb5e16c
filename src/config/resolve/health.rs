//! `[service.NAME.health]`: how a backend is probed, and what passes.

use std::time::Duration;

use super::headers::{change, fields};
use super::parse::{header_value, host_header, own_path};
use crate::config::model::{HealthConfig, Pools, StatusClass};
use crate::config::read::{Mistake, Table, Value};

/// Fields of a probe that are not given by `send_headers`, and what to do instead.
const ELSEWHERE: [(&str, &str); 1] = [("host", "set `host`, which is the Host of the probes")];

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn read(mut t: Table<'_>, pools: &Pools) -> HealthConfig {
    let health = HealthConfig {
        path: t.optional("path", own_path).unwrap_or_else(|| "/health/".to_owned()),
        interval: t.read("interval", seconds(2), Value::duration_above_zero),
        timeout: t.read("timeout", seconds(1), Value::duration_above_zero),
        rise: t.read("rise", 2, |v| v.integer(1..=1000)),
        fall: t.read("fall", 3, |v| v.integer(1..=1000)),
        status: statuses(&mut t),
        body: t.optional("body", Value::string).unwrap_or_default(),
        expect_header: fields(t.table("expect_header", "service.NAME.health.expect_header"), &[], expected),
        host: t.read("host", None, |v| v.unless_empty(host_header)),
        send_headers: fields(t.table("send_headers", "service.NAME.health.send_headers"), &ELSEWHERE, change),
        max_fails: t.read("max_fails", 3, |v| v.integer(0..=1000)),
        fail_timeout: t.read("fail_timeout", seconds(10), Value::duration_above_zero),
    };
    report_color(&t, pools, &health);
    health
}

/// The value that a field must have; `$color` stays in it.
fn expected(value: &Value<'_>) -> Result<String, Mistake> {
    header_value(value)?;
    value.string()
}

/// `$color` needs colours.
fn report_color(t: &Table<'_>, pools: &Pools, health: &HealthConfig) {
    let in_header = health.expect_header.iter().any(|(_, value)| value.contains(HealthConfig::COLOR));
    let keys = [("body", health.body.contains(HealthConfig::COLOR)), ("expect_header", in_header)];
    let Pools::Single(_) = pools else { return };
    for (key, _) in keys.into_iter().filter(|(_, has_color)| *has_color) {
        let span = t.key_span(key).unwrap_or_else(|| t.span());
        t.error(format!("`{key}` has $color, and there are no colours"), span, "leave it out: `backends` is one pool");
    }
}

fn statuses(t: &mut Table<'_>) -> Vec<StatusClass> {
    let by_default = vec![StatusClass { first: 200, last: 299 }];
    let Some(statuses) = t.list("status", status_class) else {
        return by_default;
    };
    t.report_if_empty("status", "no probe could pass: write status = [\"2xx\"]");
    statuses
}

/// `"2xx"`, `"204"` or 204.
fn status_class(value: &Value<'_>) -> Result<StatusClass, Mistake> {
    let exactly = |code| StatusClass { first: code, last: code };
    if value.item().is_integer() {
        return value.integer(100..=599).map(exactly);
    }
    let text = value.text()?;
    let class = text.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok());
    if let Some(class) = class.filter(|class| (1..=5).contains(class)) {
        return Ok(StatusClass { first: class * 100, last: class * 100 + 99 });
    }
    let code = text.parse().ok().filter(|code| (100..=599).contains(code));
    code.map(exactly).ok_or_else(|| {
        Mistake::new(format!("{text:?} is not a status")).help("a class such as \"2xx\", or a code such as \"204\"")
    })
}
