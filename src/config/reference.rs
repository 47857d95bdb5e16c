//! Pins `config/edge.toml` to the code: its defaults are the defaults, and it leaves no key out.

use std::collections::BTreeSet;

use super::{Config, parse, resolve, unbuilt};

const REFERENCE: &str = include_str!("../../config/edge.toml");

/// What is left of the reference when every default is left out.
const MINIMAL: &str = r#"
[[tls.certificate]]
cert = "/etc/edgectl/tls/example.pem"
key = "/etc/edgectl/tls/example.key"

[zone.api]
rate = "10r/s"

[service.app]
blue = ["app-blue:8000"]
green = ["app-green:8000"]

[service.worker]
backends = ["worker:9000"]

[[site]]
hosts = ["example.com", "*.example.com"]
service = "app"

[[site.route]]
path = "/api/auth/"
limit = ["api"]

[[site.route]]
path = "/old/"
redirect = { to = "/new/" }

[[site.route]]
path = "=/ping"
respond = {}
"#;

fn config(text: &str) -> Config {
    parse("edge.toml", text, &|_| None).unwrap_or_else(|found| panic!("{found}")).config
}

#[test]
fn the_reference_shows_the_defaults() {
    let (reference, minimal) = (config(REFERENCE), config(MINIMAL));
    assert_eq!(reference.server, minimal.server);
    assert_eq!(reference.limits, minimal.limits);
    assert_eq!(reference.log, minimal.log);
    assert_eq!(reference.tls, minimal.tls);
    assert_eq!(reference.acme, minimal.acme);
    assert_eq!(reference.zones, minimal.zones);
    assert_eq!(reference.services, minimal.services);
    assert_eq!(reference.sites, minimal.sites);
}

#[test]
fn the_reference_warns_of_nothing() {
    let warnings = parse("edge.toml", REFERENCE, &|_| None).unwrap().warnings;
    let messages: Vec<_> = warnings.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(messages, [""; 0]);
}

#[test]
fn the_reference_names_every_key() {
    let named = named_keys();
    let missing: Vec<_> = known_keys().into_iter().filter(|key| !named.contains(key)).collect();
    assert!(missing.is_empty(), "config/edge.toml does not name {missing:?}");
}

#[test]
fn the_reference_names_no_key_that_is_not_there() {
    let known = known_keys();
    let is_free = |section: &str| section == "headers.NAME";
    let surplus: Vec<_> = named_keys()
        .into_iter()
        .filter(|(section, key)| !is_free(section) && !known.contains(&(section.clone(), key.clone())))
        .collect();
    assert!(surplus.is_empty(), "config/edge.toml names {surplus:?}, which nothing reads");
}

#[test]
fn the_summary_tells_what_was_understood() {
    let summary = config(REFERENCE).summary();
    for line in [
        "https    [::]:443",
        "site example.com, *.example.com (tls auto)",
        "=/ping      → respond 200",
        "/old/       → redirect 301 /new/",
        "blue    app-blue:8000",
        "api  10r/s  by ip  burst 20  then 429",
    ] {
        assert!(summary.contains(line), "{line:?} is not in\n{summary}");
    }
    let guarded = "[[site]]\nhosts = [\"app.test\"]\nservice = \"app\"\nclient_ca = \"/ca.pem\"\n\
                   [[site.route]]\npath = \"/admin/\"\nallow = [\"10.0.0.0/8\"]\nheaders = \"strict\"\n\
                   [service.app]\nbackends = [\"app:1\"]\n";
    let summary = config(guarded).summary();
    for line in ["clients must show a certificate that /ca.pem vouches for", "headers strict", "allow 10.0.0.0/8"] {
        assert!(summary.contains(line), "{line:?} is not in\n{summary}");
    }
    let json = config(REFERENCE).to_json();
    assert_eq!(json["sites"][0]["routes"][3]["service"], "app");
    assert_eq!(json["services"][0]["pools"]["green"][0], "app-green:8000");
}

/// What the decoder asks for and what it refuses as not built, by section.
fn known_keys() -> BTreeSet<(String, String)> {
    let asked = resolve::known_keys(REFERENCE);
    let asked = asked.iter().flat_map(|(section, keys)| keys.iter().map(move |key| (*section, *key)));
    asked.chain(unbuilt::all()).map(|(section, key)| (section.to_owned(), key.to_owned())).collect()
}

/// Keys of the reference, those commented out (`#key = value`) included.
fn named_keys() -> BTreeSet<(String, String)> {
    let mut keys = BTreeSet::new();
    let mut section = String::new();
    for line in REFERENCE.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with('[') {
            let header = line.split(['#', ' ']).next().unwrap_or_default();
            section = with_placeholder(header.trim_matches(['[', ']']));
            name_parents(&section, &mut keys);
        } else if let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            keys.insert((section.clone(), key.to_owned()));
            name_inline(key, value, &mut keys);
        }
    }
    keys
}

/// `service.app.health` → `service.NAME.health`.
fn with_placeholder(section: &str) -> String {
    let mut parts: Vec<&str> = section.split('.').collect();
    if parts.len() > 1 && ["zone", "service", "headers"].contains(&parts[0]) {
        parts[1] = "NAME";
    }
    parts.join(".")
}

/// The header `[a.b]` names `b` in `a`, and `a` at the top.
fn name_parents(section: &str, keys: &mut BTreeSet<(String, String)>) {
    let mut section = section;
    while let Some((parent, key)) = section.rsplit_once('.') {
        if key != "NAME" {
            keys.insert((parent.to_owned(), key.to_owned()));
        }
        section = parent;
    }
    keys.insert((String::new(), section.to_owned()));
}

/// The keys of `{ to = "/new/", status = 301 }`.
fn name_inline(key: &str, value: &str, keys: &mut BTreeSet<(String, String)>) {
    let inner = value.strip_prefix("{ ").and_then(|value| value.split_once(" }"));
    for (name, _) in
        inner.into_iter().flat_map(|(inner, _)| inner.split(", ")).filter_map(|pair| pair.split_once(" = "))
    {
        keys.insert((format!("site.{key}"), name.to_owned()));
    }
}
