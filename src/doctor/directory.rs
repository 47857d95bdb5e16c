//! The directory: whether it can be reached, whether it is one, and what it requires (RFC 8555, 7.1.1). No other resource is
//! requested.

use std::time::{Duration, SystemTime};

use http::{Method, Request, header};
use instant_acme::{BodyWrapper, HttpClient};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::finding::{Check, Finding, Mark};
use crate::acme::AuthorityHttp;
use crate::acme::one_line;
use crate::config::Acme;

/// For the whole of it, the connection included.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer, or why there was none.
pub struct DirectoryAnswer {
    pub directory: Result<DirectoryDocument, DirectoryTrouble>,
    /// The answer's Date.
    pub date: Option<SystemTime>,
    /// When it was made, as far as we know.
    pub at: SystemTime,
}

#[derive(Debug, PartialEq, Eq)]
pub enum DirectoryTrouble {
    /// Roots or `ca_file`.
    Roots(String),
    Unreachable(String),
    Refused(u16),
    NotOne(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryDocument {
    #[serde(rename = "newNonce")]
    _new_nonce: String,
    #[serde(rename = "newAccount")]
    _new_account: String,
    #[serde(rename = "newOrder")]
    _new_order: String,
    #[serde(default)]
    pub meta: DirectoryMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectoryMeta {
    pub caa_identities: Vec<String>,
    pub external_account_required: bool,
    pub terms_of_service: Option<String>,
    pub profiles: Map<String, Value>,
}

pub async fn ask(url: &str, settings: &Acme) -> DirectoryAnswer {
    let begun = SystemTime::now();
    let failed = |trouble| DirectoryAnswer { directory: Err(trouble), date: None, at: begun };
    let http = match AuthorityHttp::new(settings.ca_file.as_deref()) {
        Ok(http) => http,
        Err(why) => return failed(DirectoryTrouble::Roots(why)),
    };
    let Ok(request) = Request::builder().method(Method::GET).uri(url).body(BodyWrapper::default()) else {
        return failed(DirectoryTrouble::NotOne("its URL can't be used".to_owned()));
    };
    let mut answer = match timeout(PATIENCE, http.request(request)).await {
        Err(_) => return failed(DirectoryTrouble::Unreachable(format!("no answer within {PATIENCE:?}"))),
        Ok(Err(error)) => return failed(DirectoryTrouble::Unreachable(error.to_string())),
        Ok(Ok(answer)) => answer,
    };
    let took = begun.elapsed().unwrap_or_default();
    let date = answer.parts.headers.get(header::DATE).and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| httpdate::parse_http_date(text).ok());
    let body = answer.body.into_bytes().await.map_err(|e| DirectoryTrouble::Unreachable(e.to_string()));
    let status = answer.parts.status;
    let directory = body.and_then(|body| match status.is_success() {
        true => serde_json::from_slice(&body).map_err(|e| DirectoryTrouble::NotOne(one_line(&e.to_string()))),
        false => Err(DirectoryTrouble::Refused(status.as_u16())),
    });
    DirectoryAnswer { directory, date, at: begun + took / 2 }
}

/// `has_account`: there is one already. Only the first directory is bound to an external account.
pub fn judge(url: &str, asked: &DirectoryAnswer, settings: &Acme, has_account: bool) -> Finding {
    let is_first = settings.directory == url;
    let subject = if is_first { format!("the directory {url}") } else { format!("the fallback {url}") };
    let bad = if is_first { Mark::Fail } else { Mark::Warn };
    let finding = |mark, found: String| Finding::new(Check::Directory, mark, subject.clone(), found);
    let meta = match &asked.directory {
        Ok(directory) => &directory.meta,
        Err(trouble) => {
            let (found, advice) = trouble.told();
            return finding(bad, found).advise(advice);
        }
    };
    if meta.external_account_required && !(is_first && settings.eab.is_some()) {
        let found = "wants an external account, and none is set".to_owned();
        return finding(bad, found).advise("have one made there, and set acme.eab_kid and acme.eab_hmac_key_file");
    }
    if let Some(profile) = settings.profile.as_ref().filter(|profile| is_first && !meta.profiles.contains_key(*profile))
    {
        let known: Vec<&str> = meta.profiles.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return finding(bad, format!("does not know the profile {profile:?}: {known}")).advise("mend acme.profile");
    }
    let mut found = vec!["reachable"];
    found.push(if has_account { "account at hand" } else { "no account yet: made with the first order" });
    if meta.external_account_required {
        found.push("external account set");
    }
    let terms =
        meta.terms_of_service.as_ref().map(|url| one_line(&format!("terms, agreed to with the account: {url}")));
    found.extend(terms.as_deref());
    finding(Mark::Ok, found.join("; "))
}

impl DirectoryTrouble {
    fn told(&self) -> (String, &'static str) {
        match self {
            Self::Roots(why) => (why.clone(), "mend acme.ca_file, or install the package ca-certificates"),
            Self::Unreachable(why) if why.contains("certificate") => (
                why.clone(),
                "if the authority is a private one, set acme.ca_file to its root; else see who is in between",
            ),
            Self::Unreachable(why) => {
                (why.clone(), "see DNS, routes and the firewall of this machine for outgoing HTTPS")
            }
            Self::Refused(status) => {
                (format!("got {status}"), "see the URL in acme.directory, and the authority's status page")
            }
            Self::NotOne(why) => (format!("not a directory: {why}"), "see the URL in acme.directory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://ca.test/dir";

    const SITE: &str =
        "[[site]]\nhosts = [\"a.example.com\"]\nservice = \"app\"\n[service.app]\nbackends = [\"a:1\"]\n";

    fn judged(json: &str, lines: &str) -> Finding {
        let text = format!("[acme]\nemail = \"ops@example.com\"\ndirectory = {URL:?}\n{lines}\n{SITE}");
        let config = crate::config::parse("edge.toml", &text, &|_| None).unwrap_or_else(|e| panic!("{e}")).config;
        let directory = serde_json::from_str(json).map_err(|e| DirectoryTrouble::NotOne(e.to_string()));
        let asked = DirectoryAnswer { directory, date: None, at: SystemTime::UNIX_EPOCH };
        judge(URL, &asked, &config.acme, false)
    }

    fn with(meta: &str) -> String {
        format!("{{\"newNonce\": \"n\", \"newAccount\": \"a\", \"newOrder\": \"o\", \"meta\": {meta}}}")
    }

    #[test]
    fn a_directory_is_one_and_has_what_is_asked_for() {
        assert_eq!(judged(&with("{\"termsOfService\": \"https://ca.test/terms\"}"), "").mark, Mark::Ok);
        assert_eq!(judged("{\"hello\": 1}", "").mark, Mark::Fail);
        assert_eq!(judged("<html>", "").mark, Mark::Fail);
        let bound = with("{\"externalAccountRequired\": true}");
        assert_eq!(judged(&bound, "").mark, Mark::Fail);
        assert_eq!(judged(&bound, "eab_kid = \"k\"\neab_hmac_key = \"c2VjcmV0\"").mark, Mark::Ok);
        let profiles = with("{\"profiles\": {\"classic\": \"x\"}}");
        assert!(judged(&profiles, "profile = \"short\"").found.contains("it has classic"));
        assert_eq!(judged(&profiles, "profile = \"classic\"").mark, Mark::Ok);
    }
}
