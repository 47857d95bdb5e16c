//! The protocol: directory, nonces, accounts, orders, authorizations, challenges, certificates, renewal information.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::jose::{self, Signed};
use super::{Mood, Reply, Request, validate};
use crate::support::setup::Place;

pub struct State {
    base: String,
    place: Place,
    pub stopped: bool,
    pub moods: VecDeque<Mood>,
    pub lifetimes: Vec<Duration>,
    pub is_reversed: bool,
    pub misnamed: Option<&'static str>,
    pub windows: Option<Vec<(i64, i64)>>,
    pub profiles: Vec<String>,
    /// How far its clock is ahead, in seconds; `None`: its answers carry no time.
    pub ahead: Option<i64>,
    pub is_blind: bool,
    pub blind_to: Vec<String>,
    /// Fields of every answer, besides its own.
    pub fields: Vec<(&'static str, String)>,
    /// More of the directory's `meta`.
    pub meta: serde_json::Map<String, Value>,
    pub asked: Vec<Value>,
    pub looked: usize,
    /// Keys, as JWK.
    pub accounts: Vec<Value>,
    /// PEM chains.
    pub issued: Vec<String>,
    nonces: HashSet<String>,
    orders: Vec<Order>,
    authorizations: Vec<Authorization>,
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

struct Order {
    status: &'static str,
    asked: Value,
    authorizations: Vec<usize>,
    certificate: Option<usize>,
}

struct Authorization {
    status: &'static str,
    name: String,
    wildcard: bool,
    token: String,
    /// The kind that was tried, and why it has failed.
    tried: Option<(String, String)>,
}

struct TheirKey(Vec<u8>);

impl PublicKeyData for TheirKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl State {
    pub fn new(base: String, place: Place) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "small test authority");
        let root = params.self_signed(&key).unwrap().pem();
        Self {
            base,
            place,
            stopped: false,
            moods: VecDeque::new(),
            lifetimes: vec![Duration::from_hours(90 * 24)],
            is_reversed: false,
            misnamed: None,
            windows: None,
            profiles: Vec::new(),
            ahead: None,
            is_blind: false,
            blind_to: Vec::new(),
            fields: Vec::new(),
            meta: serde_json::Map::new(),
            asked: Vec::new(),
            looked: 0,
            accounts: Vec::new(),
            issued: Vec::new(),
            nonces: HashSet::new(),
            orders: Vec::new(),
            authorizations: Vec::new(),
            issuer: Issuer::new(params, key),
            root,
        }
    }

    fn directory(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.base);
        let mut directory = json!({
            "newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order"),
            "revokeCert": at("/revoke"), "keyChange": at("/key-change"),
            "meta": { "profiles": self.profiles.iter().map(|name| (name.clone(), json!("a profile"))).collect::<serde_json::Map<_, _>>() },
        });
        for (key, value) in &self.meta {
            directory["meta"][key] = value.clone();
        }
        if self.windows.is_some() {
            directory["renewalInfo"] = json!(at("/renewal"));
        }
        directory
    }

    /// RFC 8555, 6.2 to 6.5: the account's key, and the signed request.
    fn verified(&mut self, request: &Request) -> Result<(usize, Signed), Reply> {
        let malformed = |why: &str| Reply::problem(400, "malformed", why);
        let signed = Signed::read(&request.body).ok_or_else(|| malformed("no JWS"))?;
        let nonce = signed.protected["nonce"].as_str().unwrap_or_default();
        if !self.nonces.remove(nonce) {
            return Err(Reply::problem(400, "badNonce", "not one of mine, or used before"));
        }
        if signed.protected["url"] != format!("{}{}", self.base, request.path) {
            return Err(malformed("another url"));
        }
        let account = match (signed.protected.get("jwk"), signed.protected["kid"].as_str()) {
            (Some(jwk), None) if request.path == "/account" => {
                let known = self.accounts.iter().position(|known| jose::thumbprint(known) == jose::thumbprint(jwk));
                known.unwrap_or_else(|| {
                    self.accounts.push(jwk.clone());
                    self.accounts.len() - 1
                })
            }
            (None, Some(kid)) => {
                let number = kid.rsplit('/').next().and_then(|n| n.parse().ok()).filter(|n| *n < self.accounts.len());
                number.ok_or_else(|| Reply::problem(400, "accountDoesNotExist", "who is it?"))?
            }
            _ => return Err(malformed("jwk or kid")),
        };
        if signed.is_by(&self.accounts[account]) { Ok((account, signed)) } else { Err(malformed("the signature")) }
    }

    fn new_order(&mut self, payload: &Value) -> Reply {
        self.asked.push(payload.clone());
        if let Some(profile) = payload["profile"].as_str()
            && !self.profiles.iter().any(|known| known == profile)
        {
            return Reply::problem(400, "invalidProfile", "no such profile");
        }
        let names =
            payload["identifiers"].as_array().unwrap().iter().map(|id| id["value"].as_str().unwrap().to_owned());
        let names: Vec<String> = names.collect();
        let wildcard = |parent: &str| names.iter().any(|name| name.strip_prefix("*.") == Some(parent));
        let is_redundant =
            |name: &&String| name.split_once('.').is_some_and(|(first, rest)| first != "*" && wildcard(rest));
        if let Some(name) = names.iter().find(is_redundant) {
            // The words of Let's Encrypt.
            let detail = format!("Domain name {name:?} is redundant with a wildcard domain in the same request");
            return Reply::problem(400, "malformed", &detail);
        }
        let authorizations = names.iter().map(|name| {
            let token = jose::sha256_text(&format!("token {} {name}", self.authorizations.len()));
            let bare = name.trim_start_matches("*.").to_owned();
            let wildcard = name.starts_with("*.");
            self.authorizations.push(Authorization { status: "pending", name: bare, wildcard, token, tried: None });
            self.authorizations.len() - 1
        });
        let authorizations = authorizations.collect();
        self.orders.push(Order { status: "pending", asked: payload.clone(), authorizations, certificate: None });
        let number = self.orders.len() - 1;
        self.order(number, 201)
    }

    fn order(&mut self, number: usize, status: u16) -> Reply {
        let base = self.base.clone();
        let order = &mut self.orders[number];
        let all: Vec<&str> = order.authorizations.iter().map(|n| self.authorizations[*n].status).collect();
        if order.status == "pending" && all.contains(&"invalid") {
            order.status = "invalid";
        } else if order.status == "pending" && all.iter().all(|status| *status == "valid") {
            order.status = "ready";
        }
        let mut shown = json!({
            "status": order.status,
            "identifiers": order.asked["identifiers"],
            "authorizations": order.authorizations.iter().map(|n| format!("{base}/authz/{n}")).collect::<Vec<_>>(),
            "finalize": format!("{base}/finalize/{number}"),
        });
        for key in ["replaces", "profile"] {
            if !order.asked[key].is_null() {
                shown[key] = order.asked[key].clone();
            }
        }
        if let Some(certificate) = order.certificate {
            shown["certificate"] = json!(format!("{base}/cert/{certificate}"));
        }
        Reply::json(status, &shown).with("Location", format!("{base}/order/{number}"))
    }

    fn authorization(&self, number: usize) -> Value {
        let found = &self.authorizations[number];
        let kinds: &[&str] = if found.wildcard { &["dns-01"] } else { &["http-01", "tls-alpn-01", "dns-01"] };
        let challenges: Vec<Value> = kinds.iter().map(|kind| self.challenge(number, kind)).collect();
        json!({
            "status": found.status, "wildcard": found.wildcard, "challenges": challenges,
            "identifier": { "type": "dns", "value": self.misnamed.unwrap_or(&found.name) },
        })
    }

    fn challenge(&self, number: usize, kind: &str) -> Value {
        let found = &self.authorizations[number];
        let url = format!("{}/challenge/{number}/{kind}", self.base);
        let mut shown = json!({ "type": kind, "url": url, "token": found.token, "status": "pending" });
        if let Some((_, why)) = found.tried.as_ref().filter(|(tried, _)| tried == kind) {
            shown["status"] = json!(found.status);
            if found.status == "invalid" {
                shown["error"] =
                    json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": why, "status": 403 });
            }
        }
        shown
    }

    fn finalize(&mut self, number: usize, payload: &Value) -> Reply {
        if self.order(number, 200).status != 200 || self.orders[number].status != "ready" {
            return Reply::problem(403, "orderNotReady", self.orders[number].status);
        }
        let csr = jose::decode(payload["csr"].as_str().unwrap()).unwrap();
        let (_, csr) = X509CertificationRequest::from_der(&csr).unwrap();
        let mut names = Vec::new();
        for extension in csr.requested_extensions().unwrap() {
            if let ParsedExtension::SubjectAlternativeName(alternatives) = extension {
                names.extend(alternatives.general_names.iter().map(|name| match name {
                    GeneralName::DNSName(name) => (*name).to_owned(),
                    other => panic!("{other:?}"),
                }));
            }
        }
        let ordered = self.orders[number].asked["identifiers"].as_array().unwrap().iter().map(|id| id["value"].clone());
        if json!(names) != ordered.collect::<Value>() {
            return Reply::problem(400, "badCSR", "other names than the order's");
        }
        let key = TheirKey(csr.certification_request_info.subject_pki.subject_public_key.data.to_vec());
        let mut params = CertificateParams::new(names).unwrap();
        let now = SystemTime::now();
        params.not_before = now.into();
        params.not_after = (now + self.lifetimes[self.issued.len().min(self.lifetimes.len() - 1)]).into();
        params.serial_number = Some(SerialNumber::from(self.issued.len() as u64 + 1));
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer).unwrap().pem();
        self.issued.push(if self.is_reversed { self.root.clone() + &leaf } else { leaf + &self.root });
        let order = &mut self.orders[number];
        (order.status, order.certificate) = ("valid", Some(self.issued.len() - 1));
        self.order(number, 200)
    }

    /// RFC 9773, 4.2; the serial is the certificate's number, from 1.
    fn renewal(&self, id: &str) -> Reply {
        let serial = id.split_once('.').and_then(|(_, serial)| jose::decode(serial)).unwrap_or_default();
        let number = serial.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        let Some(windows) = self.windows.as_ref().filter(|_| number > 0) else {
            return Reply::problem(404, "malformed", "no such certificate");
        };
        let (start, end) = windows[(number - 1).min(windows.len() - 1)];
        let at = |seconds| (Timestamp::now() + SignedDuration::from_secs(seconds)).to_string();
        let window = json!({ "suggestedWindow": { "start": at(start), "end": at(end) } });
        Reply::json(200, &window).with("Retry-After", "21600")
    }
}

pub fn nonce(state: &Mutex<State>) -> String {
    let nonce = format!("{:032x}", fastrand::u128(..));
    state.lock().unwrap().nonces.insert(nonce.clone());
    nonce
}

pub fn answer(state: &Arc<Mutex<State>>, request: &Request) -> Reply {
    let mut locked = state.lock().unwrap();
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/directory") => return Reply::json(200, &locked.directory()),
        ("HEAD" | "GET", "/nonce") => return Reply::new(200, Vec::new()),
        ("GET", path) if path.starts_with("/renewal/") => return locked.renewal(&path["/renewal/".len()..]),
        _ => {}
    }
    let (account, signed) = match locked.verified(request) {
        Ok(verified) => verified,
        Err(refused) => return refused,
    };
    let mut parts = request.path.split('/').skip(1);
    let (resource, number) = (parts.next().unwrap_or_default(), parts.next().and_then(|n| n.parse::<usize>().ok()));
    match (resource, number) {
        ("account", _) => Reply::json(200, &json!({ "status": "valid" }))
            .with("Location", format!("{}/account/{account}", locked.base)),
        ("order", None) => locked.new_order(&signed.payload),
        ("order", Some(n)) if n < locked.orders.len() => locked.order(n, 200),
        ("authz", Some(n)) => Reply::json(200, &locked.authorization(n)),
        ("finalize", Some(n)) => locked.finalize(n, &signed.payload),
        ("cert", Some(n)) => Reply::new(200, locked.issued[n].clone().into_bytes()),
        ("challenge", Some(n)) => {
            let kind = parts.next().unwrap_or_default().to_owned();
            let thumbprint = jose::thumbprint(&locked.accounts[account]);
            let shown = locked.challenge(n, &kind);
            locked.looked += 1;
            drop(locked);
            begin(state, n, kind, &thumbprint);
            Reply::json(200, &shown)
        }
        _ => Reply::problem(404, "malformed", "no such thing"),
    }
}

/// Validates in a thread of its own, beside everything else, as authorities do.
fn begin(state: &Arc<Mutex<State>>, number: usize, kind: String, thumbprint: &str) {
    let locked = state.lock().unwrap();
    let found = &locked.authorizations[number];
    let (name, token) = (found.name.clone(), found.token.clone());
    let (expected, place, is_blind) =
        (format!("{token}.{thumbprint}"), locked.place.clone(), locked.is_blind || locked.blind_to.contains(&name));
    drop(locked);
    let state = state.clone();
    thread::spawn(move || {
        let seen = if is_blind {
            Err("saw nothing".to_owned())
        } else {
            validate::look(&place, &kind, &name, &token, &expected)
        };
        let found = &mut state.lock().unwrap().authorizations[number];
        found.status = if seen.is_ok() { "valid" } else { "invalid" };
        found.tried = Some((kind, seen.err().unwrap_or_default()));
    });
}
