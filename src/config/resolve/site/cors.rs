//! `cors = { origins = [...] }`.

use crate::config::policy::cors::{BadOrigin, CorsConfig, MAX_AGE, OriginPattern};
use crate::config::read::{Mistake, Table, Value};
use crate::config::resolve::parse::{header_name, method};

/// `None`: not given.
pub fn read(t: &mut Table<'_>) -> Option<CorsConfig> {
    let mut t = t.given_table("cors", "site.cors")?;
    let cors = CorsConfig {
        origins: t.list("origins", origin).unwrap_or_default(),
        methods: t.list("methods", method).unwrap_or_default(),
        headers: t.list("headers", |v| header_name(&v.text()?)).unwrap_or_default(),
        expose: t.list("expose", |v| header_name(&v.text()?)).unwrap_or_default(),
        credentials: t.read("credentials", false, Value::boolean),
        max_age: t.read("max_age", MAX_AGE, Value::duration),
    };
    if cors.credentials && cors.origins.contains(&OriginPattern::Any) {
        let span = t.key_span("credentials").unwrap_or_else(|| t.span());
        t.error("`credentials` for every origin", span, "list the origins: any page could act as its visitor");
    }
    Some(cors)
}

fn origin(value: &Value<'_>) -> Result<OriginPattern, Mistake> {
    let parsed = value.text()?.parse();
    parsed.map_err(|BadOrigin { text, help }| Mistake::new(format!("{text:?} is no origin")).help(help))
}
