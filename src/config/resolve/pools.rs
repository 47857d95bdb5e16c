//! The backends of a service: two colours, or one pool.

use std::ops::Range;

use crate::config::diagnostic::Diagnostic;
use crate::config::model::Pools;
use crate::config::read::Table;
use crate::types::BackendAddr;

type PoolKeys = Vec<(BackendAddr, Range<usize>)>;

pub(super) fn read(t: &mut Table<'_>) -> Pools {
    let blue = pool(t, "blue");
    let green = pool(t, "green");
    let single = pool(t, "backends");
    if let Some(span) = t.key_span("backends").filter(|_| t.has("blue") || t.has("green")) {
        t.error(
            "`backends` stands beside blue and green",
            span,
            "keep `backends` for one pool, or `blue` and `green` for two",
        );
        return Pools::Single(Vec::new());
    }
    if t.has("backends") {
        return Pools::Single(addresses(single));
    }
    report_missing(t);
    let (blue, green) = (blue.unwrap_or_default(), green.unwrap_or_default());
    warn_if_shared(t, &blue, &green);
    Pools::BlueGreen { blue: addresses(Some(blue)), green: addresses(Some(green)) }
}

fn report_missing(t: &Table<'_>) {
    match (t.has("blue"), t.has("green")) {
        (true, true) => {}
        (false, false) => t.error(
            "no backends",
            t.span(),
            "give `blue` and `green`, such as blue = [\"app-blue:8000\"], or `backends` for a service with one pool",
        ),
        (blue, _) => {
            let (given, missing) = if blue { ("blue", "green") } else { ("green", "blue") };
            let span = t.key_span(given).unwrap_or_else(|| t.span());
            let help = format!("add `{missing}`, or call the pool `backends` if there is nothing to switch to");
            t.error(format!("`{given}` without `{missing}`"), span, &help);
        }
    }
}

fn pool(t: &mut Table<'_>, key: &'static str) -> Option<PoolKeys> {
    let path = t.path_of(key);
    let pool = t.list(key, |v| Ok((v.parsed::<BackendAddr>()?, v.span())))?;
    t.report_if_empty(key, "a pool needs a backend, such as \"app:8000\"");
    for (index, (address, span)) in pool.iter().enumerate() {
        if let Some((_, first)) = pool[..index].iter().find(|(other, _)| other.is_same_target(address)) {
            let found = Diagnostic::error(format!("{path}: {address} is there twice")).at(span.clone());
            t.document().report(found.related(first.clone(), "first here").help("keep one of them"));
        }
    }
    Some(pool)
}

fn warn_if_shared(t: &Table<'_>, blue: &PoolKeys, green: &PoolKeys) {
    for (address, span) in green {
        if blue.iter().any(|(other, _)| other.is_same_target(address)) {
            let help = "a switch changes nothing for a backend of both colours";
            t.warn(format!("{address} is in blue and in green"), span.clone(), help);
        }
    }
}

fn addresses(pool: Option<PoolKeys>) -> Vec<BackendAddr> {
    pool.into_iter().flatten().map(|(address, _)| address).collect()
}
