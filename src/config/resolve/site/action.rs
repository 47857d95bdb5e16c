//! What answers a request: one of `service`, `redirect`, `respond` (and `root`, which is not built yet).

use http::{HeaderValue, StatusCode, Uri};

use crate::config::model::ActionConfig;
use crate::config::read::{Mistake, Table, Value};
use crate::config::resolve::parse::{header_value, request_path, status};
use crate::config::resolve::service::Services;

const KEYS: [&str; 4] = ["service", "root", "redirect", "respond"];

/// Whether any was given, right or wrong.
pub fn is_given(t: &Table<'_>) -> bool {
    KEYS.iter().any(|key| t.has(key))
}

/// The action, if one was given and is right. More than one is reported.
pub fn read(t: &mut Table<'_>, services: &Services) -> Option<ActionConfig> {
    let service = t.optional("service", |v| service(v, services));
    let redirect = t.given_table("redirect", "site.redirect").and_then(redirect);
    let respond = t.given_table("respond", "site.respond").map(respond);
    let given: Vec<&str> = KEYS.into_iter().filter(|key| t.has(key)).collect();
    if let [first, .., last] = given[..] {
        let span = t.key_span(last).unwrap_or_else(|| t.span());
        t.error(format!("`{last}` stands beside `{first}`"), span, "keep one of service, root, redirect and respond");
    }
    service.or(redirect).or(respond)
}

pub fn report_missing(t: &Table<'_>) {
    t.error("nothing answers", t.span(), "give one of service, root, redirect and respond, such as service = \"app\"");
}

fn service(value: &Value<'_>, services: &Services) -> Result<ActionConfig, Mistake> {
    let name = value.text()?;
    if let Some((name, _)) = services.get_key_value(name.as_ref()) {
        return Ok(ActionConfig::Service(name.clone()));
    }
    let known = services.keys().map(AsRef::as_ref);
    let mistake = Mistake::unknown(format!("there is no service {name:?}"), &name, known);
    Err(if mistake.help.is_some() { mistake } else { mistake.help(format!("add [service.{name}]")) })
}

fn redirect(mut t: Table<'_>) -> Option<ActionConfig> {
    let to = t.required("to", "add to = \"/new/\", or an URL", target);
    let status = t.read("status", StatusCode::MOVED_PERMANENTLY, redirect_status);
    Some(ActionConfig::Redirect { to: to?, status })
}

fn target(value: &Value<'_>) -> Result<String, Mistake> {
    let text = value.string()?;
    if text.starts_with('/') && !text.starts_with("//") {
        return request_path(&text).map(|()| text);
    }
    let is_url = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    if text.is_ascii() && text.parse::<Uri>().is_ok_and(|uri| is_url(&uri)) {
        return Ok(text);
    }
    Err(Mistake::new(format!("{text:?} is no place to redirect to"))
        .help("a path (\"/new/\") or an URL (\"https://example.com/new/\")"))
}

fn redirect_status(value: &Value<'_>) -> Result<StatusCode, Mistake> {
    let code = status(value, 300, 399)?;
    if [301, 302, 303, 307, 308].contains(&code.as_u16()) {
        return Ok(code);
    }
    Err(Mistake::new(format!("{} is not a redirect that browsers follow", code.as_u16()))
        .help("301 or 308 for good, 302 or 307 for now, 303 to go on with GET"))
}

fn respond(mut t: Table<'_>) -> ActionConfig {
    let by_default = HeaderValue::from_static("text/plain; charset=utf-8");
    ActionConfig::Respond {
        status: t.read("status", StatusCode::OK, |v| status(v, 200, 599)),
        body: t.optional("body", Value::string).unwrap_or_default(),
        content_type: t.read("content_type", by_default, header_value),
    }
}
