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
    let changes = fields(t, &[], change);
    HeaderPolicy { preset, changes }
}

/// The keys of `t` that were not read yet, as header fields that `read` makes something of. `refused`: names that can't be given,
/// each with what to do instead.
pub(super) fn fields<T>(
    mut t: Table<'_>,
    refused: &[(&str, &str)],
    read: impl Fn(&Value<'_>) -> Result<T, Mistake>,
) -> Vec<(HeaderName, T)> {
    let mut fields: Vec<(HeaderName, T)> = Vec::new();
    for (name, span, value) in t.take_rest() {
        match field_name(name, &span, refused).and_then(|name| Ok((name, read(&value)?))) {
            Ok((name, _)) if fields.iter().any(|(other, _)| *other == name) => {
                t.error(format!("`{name}` is there twice"), span, "header names are the same in any case");
            }
            Ok(field) => fields.push(field),
            Err(mistake) => t.document().mistake(&t.path_of(name), value.span(), mistake),
        }
    }
    fields
}

fn field_name(name: &str, span: &Range<usize>, refused: &[(&str, &str)]) -> Result<HeaderName, Mistake> {
    let at_name = |mistake: Mistake| Mistake { span: Some(span.clone()), ..mistake };
    let name = header_name(name).map_err(at_name)?;
    if FRAMING.contains(&name.as_str()) {
        return Err(at_name(
            Mistake::new("this header frames the connection and is the proxy's own").help("leave it out"),
        ));
    }
    match refused.iter().find(|(other, _)| *other == name.as_str()) {
        Some((_, instead)) => Err(at_name(Mistake::new("this header has a key of its own").help(*instead))),
        None => Ok(name),
    }
}

/// A string sets the header, false removes it.
pub(super) fn change(value: &Value<'_>) -> Result<Option<HeaderValue>, Mistake> {
    match value.item() {
        DeValue::Boolean(false) => Ok(None),
        DeValue::Boolean(true) => {
            Err(Mistake::new("true has no meaning here").help("a string sets the header, false removes it"))
        }
        _ => header_value(value).map(Some),
    }
}
