//! `[acme]`: the authority, the account, and the challenges that this config can answer.

use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use crate::config::model::{Acme, AcmeChallenge, ExternalAccount, Server};
use crate::config::read::{Mistake, Table, Value};

const LETSENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

const CHALLENGES: [(&str, AcmeChallenge); 3] =
    [("tls-alpn-01", AcmeChallenge::TlsAlpn01), ("http-01", AcmeChallenge::Http01), ("dns-01", AcmeChallenge::Dns01)];

pub(super) fn read(root: &mut Table<'_>, server: &Server) -> Acme {
    let mut t = root.table("acme", "acme");
    let given = t.list("challenges", |v| v.choice(&CHALLENGES));
    let dns_hook = t.read("dns_hook", None, |v| v.unless_empty(Value::path));
    let acme = Acme {
        email: t.read("email", None, |v| v.unless_empty(email)),
        directory: t.read("directory", LETSENCRYPT.to_owned(), directory),
        challenges: given.clone().unwrap_or_else(|| vec![AcmeChallenge::TlsAlpn01, AcmeChallenge::Http01]),
        dns_hook,
        ca_file: t.read("ca_file", None, |v| v.unless_empty(Value::path)),
        eab: external_account(&mut t),
        fallback: t.read("fallback", None, |v| v.unless_empty(directory)),
        profile: t.read("profile", None, |v| v.unless_empty(Value::string)),
    };
    check_hook(&t, &acme);
    Acme { challenges: answerable(&t, &acme, server), ..acme }
}

fn check_hook(t: &Table<'_>, acme: &Acme) {
    let uses_dns = acme.challenges.contains(&AcmeChallenge::Dns01);
    match (&acme.dns_hook, uses_dns) {
        (None, true) => t.error(
            "\"dns-01\" without a program that sets the record",
            t.key_span("challenges").unwrap_or_else(|| t.span()),
            "set dns_hook = \"/path/to/program\"; it is run as: PROGRAM present|cleanup FQDN VALUE",
        ),
        (Some(_), false) => t.warn(
            "`dns_hook` is not used",
            t.key_span("dns_hook").unwrap_or_else(|| t.span()),
            "add \"dns-01\" to `challenges`",
        ),
        _ => {}
    }
}

/// Drops the challenges that have no listener; an account that is left with none can't work.
fn answerable(t: &Table<'_>, acme: &Acme, server: &Server) -> Vec<AcmeChallenge> {
    let is_answered = |challenge: &AcmeChallenge| match challenge {
        AcmeChallenge::TlsAlpn01 => !server.https.is_empty(),
        AcmeChallenge::Http01 => !server.http.is_empty(),
        AcmeChallenge::Dns01 => true,
    };
    let left: Vec<AcmeChallenge> = acme.challenges.iter().copied().filter(is_answered).collect();
    if left.is_empty() && acme.email.is_some() {
        t.error(
            "no challenge can be answered",
            t.key_span("challenges").unwrap_or_else(|| t.span()),
            "tls-alpn-01 needs an address in server.https, http-01 one in server.http, dns-01 a dns_hook",
        );
    }
    left
}

fn email(value: &Value<'_>) -> Result<String, Mistake> {
    let text = value.string()?;
    let is_address = text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
    if !is_address || text.contains([' ', ',', ':', '?']) {
        return Err(Mistake::new(format!("{text:?} is not an e-mail address")).help("write \"ops@example.com\""));
    }
    Ok(text)
}

fn directory(value: &Value<'_>) -> Result<String, Mistake> {
    const NAMES: [&str; 2] = ["letsencrypt", "letsencrypt-staging"];
    let text = value.string()?;
    match text.as_str() {
        "letsencrypt" => return Ok(LETSENCRYPT.to_owned()),
        "letsencrypt-staging" => return Ok(STAGING.to_owned()),
        url if url.starts_with("https://") && url.parse::<http::Uri>().is_ok() => return Ok(text),
        _ => {}
    }
    let mistake = Mistake::unknown(format!("{text:?} is not a directory"), &text, NAMES);
    Err(if mistake.help.is_some() { mistake } else { mistake.help("a name, or an URL that starts with \"https://\"") })
}

/// Both halves, or neither.
fn external_account(t: &mut Table<'_>) -> Option<ExternalAccount> {
    let kid = t.read("eab_kid", None, |v| v.unless_empty(Value::string));
    let hmac_key = secret(t, "eab_hmac_key", "eab_hmac_key_file");
    match (kid, hmac_key) {
        (Some(kid), Some(hmac_key)) => Some(ExternalAccount { kid, hmac_key }),
        (Some(_), None) if !t.has("eab_hmac_key_file") && !t.has("eab_hmac_key") => {
            let span = t.key_span("eab_kid").unwrap_or_else(|| t.span());
            t.error("`eab_kid` without its secret", span, "add eab_hmac_key, or eab_hmac_key_file = \"FILE\"");
            None
        }
        (None, Some(_)) => {
            t.error("an `eab_hmac_key` without `eab_kid`", t.span(), "add the key's identifier: eab_kid = \"...\"");
            None
        }
        _ => None,
    }
}

/// A secret is given under its own key, or in the file that the key with `_file` names.
fn secret(t: &mut Table<'_>, key: &'static str, twin: &'static str) -> Option<Vec<u8>> {
    let read_file = t.document().outside().file;
    let own = t.read(key, None, |v| v.unless_empty(|v| decoded(&v.text()?)));
    let file = t.optional(twin, |value| {
        let path = value.path()?;
        let text = read_file(Path::new(&path))
            .map_err(|error| Mistake::new(format!("cannot read {}: {error}", path.display())))?;
        decoded(text.trim_end_matches(['\r', '\n']))
    });
    if own.is_some()
        && let Some(span) = t.key_span(twin)
    {
        t.error(format!("both `{key}` and `{twin}`"), span, "keep one of them");
    }
    own.or(file)
}

/// As authorities hand it out: base64url without padding, or plain base64.
fn decoded(text: &str) -> Result<Vec<u8>, Mistake> {
    let bare = text.trim().trim_end_matches('=');
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(bare).or_else(|_| BASE64_STANDARD.decode(text.trim()));
    bytes.map_err(|_| Mistake::new("is not base64").help("copy it as the authority shows it, without blanks"))
}
