//! `[zone.NAME]`: rate limits, as nginx's `limit_req_zone` and `limit_req`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::parse::{cookie_name, header_name, is_name, network, status};
use crate::config::model::{Zone, ZoneKey};
use crate::config::read::{Mistake, Named, Table, Value};
use crate::types::Rate;

pub(super) type Zones = BTreeMap<Arc<str>, Arc<Zone>>;

pub(super) fn read(root: &mut Table<'_>) -> Zones {
    root.named_tables("zone", "zone.NAME")
        .into_iter()
        .map(|named| {
            let name: Arc<str> = named.name.into();
            (name.clone(), Arc::new(zone(name, named)))
        })
        .collect()
}

fn zone(name: Arc<str>, Named { name_span, table: mut t, .. }: Named<'_>) -> Zone {
    if !is_name(&name) {
        t.error("not a name for a zone", name_span, "letters, digits, \"-\", \"_\" and \".\"");
    }
    Zone {
        name,
        key: t.read("key", ZoneKey::Ip, key),
        rate: t
            .required("rate", "add rate = \"10r/s\"", Value::parsed)
            .unwrap_or(Rate { requests: 1, per: Duration::from_secs(1) }),
        burst: t.read("burst", 20, |v| v.integer(0..=1_000_000)),
        delay: t.read("delay", false, Value::boolean),
        status: t.read("status", StatusCode::TOO_MANY_REQUESTS, |v| status(v, 400, 599)),
        dry_run: t.read("dry_run", false, Value::boolean),
        exempt: t.list("exempt", network).unwrap_or_default(),
        max_keys: t.read("max_keys", 100_000, |v| v.integer(1..=100_000_000)),
    }
}

fn key(value: &Value<'_>) -> Result<ZoneKey, Mistake> {
    let text = value.text()?;
    if let Some(name) = text.strip_prefix("header:") {
        return header_name(name).map(ZoneKey::Header);
    }
    if let Some(name) = text.strip_prefix("cookie:") {
        return cookie_name(name).map(ZoneKey::Cookie);
    }
    match text.as_ref() {
        "ip" => Ok(ZoneKey::Ip),
        "ip+path" => Ok(ZoneKey::IpPath),
        "host" => Ok(ZoneKey::Host),
        "global" => Ok(ZoneKey::Global),
        other => {
            let known = ["ip", "ip+path", "host", "header:NAME", "cookie:NAME", "global"];
            Err(Mistake::unknown(format!("{other:?} is not a key"), other, known))
        }
    }
}
