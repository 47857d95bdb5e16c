//! `[headers.NAME]`: a preset and what is changed in it.

use std::collections::BTreeMap;
use std::ops::Range;

use http::{HeaderName, HeaderValue};
use toml::de::DeValue;

use super::parse::{header_name, header_value};
use crate::config::model::{HeaderPolicy, Preset};
use crate::config::read::{Mistake, Named, Table, Value};

pub(super) type Policies = BTreeMap<String, HeaderPolicy>;

const PRESETS: [(&str, Preset); 3] = [("secure", Preset::Secure), ("strict", Preset::Strict), ("off", Preset::Off)];

/// Headers that frame a message or a connection: they are the proxy's, not a policy's.
const FRAMING: [&str; 6] = ["connection", "content-length", "keep-alive", "te", "transfer-encoding", "upgrade"];

pub(super) fn read(root: &mut Table<'_>) -> Policies {
    let mut policies = Policies::new();
    for Named { name, name_span, table } in root.named_tables("headers", "headers.NAME") {
        if PRESETS.iter().any(|(preset, _)| *preset == name) {
            table.error("this is the name of a preset", name_span, "choose another name");
        }
        policies.insert(name.to_owned(), policy(table));
    }
    policies
}

/// What a site or route asks for by name.
pub(super) fn choose(value: &Value<'_>, policies: &Policies) -> Result<HeaderPolicy, Mistake> {
    let name = value.text()?;
    if let Some((_, preset)) = PRESETS.iter().find(|(preset, _)| *preset == name) {
        return Ok(HeaderPolicy { preset: *preset, changes: Vec::new() });
    }
    policies.get(name.as_ref()).cloned().ok_or_else(|| {
        let known = PRESETS.iter().map(|(preset, _)| *preset).chain(policies.keys().map(String::as_str));
        Mistake::unknown(format!("there is no preset and no table [headers.{name}]"), &name, known)
    })
}

fn policy(mut t: Table<'_>) -> HeaderPolicy {
    let preset = t.read("base", Preset::Secure, |v| v.choice(&PRESETS));
    let mut changes: Vec<(HeaderName, Option<HeaderValue>)> = Vec::new();
    for (name, span, value) in t.take_rest() {
        match change(name, &span, &value) {
            Ok((name, _)) if changes.iter().any(|(other, _)| *other == name) => {
                t.error(format!("`{name}` is there twice"), span, "header names are the same in any case");
            }
            Ok(change) => changes.push(change),
            Err(mistake) => t.document().mistake(&t.path_of(name), value.span(), mistake),
        }
    }
    HeaderPolicy { preset, changes }
}

fn change(
    name: &str,
    name_span: &Range<usize>,
    value: &Value<'_>,
) -> Result<(HeaderName, Option<HeaderValue>), Mistake> {
    let at_name = |mistake: Mistake| Mistake { span: Some(name_span.clone()), ..mistake };
    let name = header_name(name).map_err(at_name)?;
    if FRAMING.contains(&name.as_str()) {
        return Err(at_name(
            Mistake::new("this header frames the connection and is the proxy's own").help("leave it out"),
        ));
    }
    match value.item() {
        DeValue::Boolean(false) => Ok((name, None)),
        DeValue::Boolean(true) => {
            Err(Mistake::new("true has no meaning here").help("a string sets the header, false removes it"))
        }
        _ => header_value(value).map(|value| (name, Some(value))),
    }
}
