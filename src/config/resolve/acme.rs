//! `[acme]`: read, so that mistakes show early, but not acted upon yet.

use std::path::Path;

use crate::config::read::{Mistake, Table, Value};

pub(super) fn read(root: &mut Table<'_>) {
    let Some(mut t) = root.given_table("acme", "acme") else {
        return;
    };
    let span = t.span();
    t.warn("read but not acted upon yet", span, "certificates come from [[tls.certificate]] in this version");
    for key in ["email", "dns_hook", "ca_file", "eab_kid", "profile"] {
        t.optional(key, Value::string);
    }
    t.optional("directory", directory);
    t.optional("fallback", |v| v.unless_empty(directory));
    t.list("challenges", |v| v.choice(&[("tls-alpn-01", ()), ("http-01", ()), ("dns-01", ())]));
    secret(&mut t, "eab_hmac_key", "eab_hmac_key_file");
}

fn directory(value: &Value<'_>) -> Result<String, Mistake> {
    const NAMES: [&str; 2] = ["letsencrypt", "letsencrypt-staging"];
    let text = value.string()?;
    if NAMES.contains(&text.as_str()) || text.starts_with("https://") {
        return Ok(text);
    }
    let mistake = Mistake::unknown(format!("{text:?} is not a directory"), &text, NAMES);
    Err(if mistake.help.is_some() { mistake } else { mistake.help("a name, or an URL that starts with \"https://\"") })
}

/// A secret stands under its own key, or in the file that its twin names.
fn secret(t: &mut Table<'_>, key: &'static str, twin: &'static str) {
    let read_file = t.document().outside().secret;
    let text = t.optional(key, Value::string);
    t.optional(twin, |value| {
        let path = value.path()?;
        read_file(Path::new(&path)).map_err(|error| Mistake::new(format!("cannot read {}: {error}", path.display())))
    });
    if text.is_some()
        && let Some(span) = t.key_span(twin)
    {
        t.error(format!("both `{key}` and `{twin}`"), span, "keep one of them");
    }
}
