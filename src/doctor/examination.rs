//! One examination: looks at the directories, then at every name, and has the findings judged.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use http::HeaderMap;
use tokio::sync::{Semaphore, oneshot};

use super::caa::Issuance;
use super::directory::{self, DirectoryAnswer};
use super::dns::{Addresses, is_unroutable};
use super::finding::{Check, Diagnosis, DoctorQuestion, Finding, Mark};
use super::limits::PastAttempts;
use super::names::NamePlans;
use super::reach::{PortAnswer, Reached, handshake, plain};
use super::{caa, cdn, clock, hook};
use crate::acme::{self, Inspection};
use crate::config::{Acme, AcmeChallenge, Config};
use crate::resolve::Resolver;
use crate::tls::WantedCertificate;
use crate::types::{HostName, HostPattern, certificate_name_covers};

/// Names looked at side by side.
const NAMES: usize = 4;

/// Connections to where they lead, all names together.
const CONNECTIONS: usize = 8;

/// Addresses of one name that are connected to.
const ADDRESSES: usize = 8;

/// What is looked at, and with what.
struct Examination {
    inspection: Inspection,
    resolver: Resolver,
    config: Arc<Config>,
    question: DoctorQuestion,
    wanted: Vec<WantedCertificate>,
    connections: Semaphore,
}

/// What the first directory has said, and where it is.
struct Authority {
    identities: Vec<String>,
    is_private: bool,
    account: Option<String>,
}

/// Looks at everything that issuance depends on, with this config. Changes nothing.
pub async fn examine(
    acme: &acme::AcmeHandle,
    question: DoctorQuestion,
    config: Arc<Config>,
) -> Result<Diagnosis, acme::NotRenewed> {
    let (mut answer, answered) = oneshot::channel();
    acme.inspect(move |inspection| {
        let examination = Examination::new(inspection, config, question);
        // Ends with the examination, all of which is bounded in time, or when its answer is no longer waited for.
        tokio::task::spawn_local(async move {
            tokio::select! {
                diagnosis = examination.run() => drop(answer.send(diagnosis)),
                () = answer.closed() => {}
            }
        });
    })?;
    answered.await.map_err(|_| acme::NotRenewed::Gone)
}

impl Examination {
    fn new(inspection: Inspection, config: Arc<Config>, question: DoctorQuestion) -> Self {
        let (resolver, wanted) = (inspection.resolver(), inspection.wanted());
        Self { inspection, resolver, config, question, wanted, connections: Semaphore::new(CONNECTIONS) }
    }

    async fn run(self) -> Diagnosis {
        let (authority, mut findings) = self.directories().await;
        findings.extend(self.hook());
        let filed = self.inspection.filed();
        let is_filed = |name: &str| filed.iter().any(|other| certificate_name_covers(other, name));
        let known = NamePlans { config: &self.config, wanted: &self.wanted, is_filed: &is_filed };
        let hosts = self.question.host.clone().map_or_else(|| known.names(), |host| vec![host.to_ascii_lowercase()]);
        if hosts.is_empty() {
            findings.push(nothing_to_do(&self.config.acme));
        }
        let (this, authority, known) = (&self, &authority, &known);
        let about = stream::iter(hosts).map(|host| async move { this.name(&host, known, authority).await });
        findings.extend(about.buffered(NAMES).collect::<Vec<_>>().await.into_iter().flatten());
        Diagnosis { findings }
    }

    async fn directories(&self) -> (Authority, Vec<Finding>) {
        let acme = &self.config.acme;
        let urls: Vec<&String> = std::iter::once(&acme.directory).chain(&acme.fallback).collect();
        let asked = join_all(urls.iter().map(|url| directory::ask(url, acme))).await;
        let mut findings = Vec::new();
        for (url, asked) in urls.iter().zip(&asked) {
            findings.push(directory::judge(url, asked, acme, self.inspection.account(url).is_some()));
        }
        findings.extend(asked.first().map(|DirectoryAnswer { date, at, .. }| clock::judge(*date, *at)));
        let meta = asked.into_iter().next().and_then(|first| first.directory.ok());
        let authority = Authority {
            identities: meta.map(|directory| directory.meta.caa_identities).unwrap_or_default(),
            is_private: self.is_private(&acme.directory).await,
            account: self.inspection.account(&acme.directory),
        };
        (authority, findings)
    }

    fn hook(&self) -> Option<Finding> {
        let Acme { challenges, dns_hook, .. } = &self.config.acme;
        let program = dns_hook.as_deref().filter(|_| challenges.contains(&AcmeChallenge::Dns01))?;
        Some(hook::judge(program, challenges.len() == 1))
    }

    /// Whether the directory is where the internet does not reach.
    async fn is_private(&self, directory: &str) -> bool {
        let Some(host) = directory.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)) else {
            return false;
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = host.parse() {
            return is_unroutable(ip);
        }
        let is_local = host.parse::<HostName>().is_ok_and(|name| name.is_local());
        is_local || self.resolver.lookup(host).await.is_ok_and(|all| all.into_iter().all(is_unroutable))
    }

    async fn name(&self, host: &str, known: &NamePlans<'_>, authority: &Authority) -> Vec<Finding> {
        let (name, config) = known.judge(host);
        let bare = name.trim_start_matches("*.");
        let needs = self.needs(&name);
        let (policy, v4, v6) =
            tokio::join!(caa::look(&self.resolver, &name), self.resolver.ipv4(bare), self.resolver.ipv6(bare));
        let mut findings = vec![config];
        let issuance = Issuance {
            name: &name,
            identities: &authority.identities,
            account: authority.account.as_deref(),
            challenges: &self.config.acme.challenges,
        };
        let caa = issuance.judge(&policy);
        if name.starts_with("*.") {
            let why = "a wildcard is proven by dns-01: no address is needed";
            findings.push(Finding::new(Check::Dns, Mark::Skipped, "DNS, A and AAAA", why));
            findings.push(caa);
        } else {
            let addresses = Addresses { v4, v6 };
            findings.push(addresses.judge(!needs.is_empty(), authority.is_private));
            findings.push(caa);
            findings.extend(self.ports(&name, &addresses, &needs).await);
        }
        findings.push(self.past(&name).judge(&self.config.acme.directory, SystemTime::now()));
        findings.into_iter().map(|finding| finding.of(host)).collect()
    }

    /// The challenges for which an authority connects.
    fn needs(&self, name: &str) -> Vec<AcmeChallenge> {
        let all = self.config.acme.challenges.iter().copied();
        all.filter(|kind| *kind != AcmeChallenge::Dns01 && !name.starts_with("*.")).collect()
    }

    async fn ports(&self, name: &str, addresses: &Addresses, needs: &[AcmeChallenge]) -> Vec<Finding> {
        if needs.is_empty() {
            let why = "dns-01 alone: no authority connects";
            return vec![Finding::new(Check::Http01, Mark::Skipped, "ports 80 and 443", why)];
        }
        let all = addresses.all();
        let shown = &all[..all.len().min(ADDRESSES)];
        let mut findings = Vec::new();
        if shown.is_empty() {
            let why = "no address to connect to";
            findings.push(Finding::new(Check::Http01, Mark::Skipped, "ports 80 and 443", why));
            return findings;
        }
        let at = |port: u16| shown.iter().map(|ip| SocketAddr::new(*ip, port)).collect::<Vec<_>>();
        let plain = async {
            match needs.contains(&AcmeChallenge::Http01) {
                true => self.by_http(name, &at(self.question.http_port.unwrap_or(80))).await,
                false => Vec::new(),
            }
        };
        let tls = async {
            match needs.contains(&AcmeChallenge::TlsAlpn01) {
                true => self.by_tls(name, &at(self.question.https_port.unwrap_or(443))).await,
                false => Vec::new(),
            }
        };
        let (plain, tls) = tokio::join!(plain, tls);
        let (plain, fields): (Vec<_>, Vec<_>) =
            plain.into_iter().map(|(at, seen, fields)| ((at, seen), fields)).unzip();
        findings.extend(Reached { host: name, check: Check::Http01, seen: &plain }.judge());
        findings.extend(Reached { host: name, check: Check::TlsAlpn01, seen: &tls }.judge());
        if shown.len() < all.len() {
            let why = format!("{} more addresses were not looked at", all.len() - shown.len());
            findings.push(Finding::new(Check::Http01, Mark::Skipped, "ports 80 and 443", why));
        }
        let answers: Vec<HeaderMap> = fields.into_iter().filter(|fields| !fields.is_empty()).collect();
        findings.push(cdn::judge(&answers));
        findings
    }

    async fn by_http(&self, name: &str, at: &[SocketAddr]) -> Vec<(SocketAddr, PortAnswer, HeaderMap)> {
        let (token, nonce) = match (random(), random()) {
            (Ok(token), Ok(nonce)) => (text(&token), text(&nonce)),
            (Err(seen), _) | (_, Err(seen)) => {
                return at.iter().map(|at| (*at, seen.clone(), HeaderMap::new())).collect();
            }
        };
        let _answer = self.inspection.challenges().answer_token(&token, nonce.clone());
        let looks = at.iter().map(|at| async {
            let (seen, fields) = self.in_turn(plain::look(*at, name, &token, &nonce)).await;
            (*at, seen, fields)
        });
        join_all(looks).await
    }

    async fn by_tls(&self, name: &str, at: &[SocketAddr]) -> Vec<(SocketAddr, PortAnswer)> {
        let all = |seen: PortAnswer| at.iter().map(|at| (*at, seen.clone())).collect();
        let nonce = match random() {
            Ok(nonce) => nonce,
            Err(seen) => return all(seen),
        };
        let certificate = match acme::challenge_certificate(name, &nonce) {
            Ok(certificate) => Arc::new(certificate),
            Err(why) => return all(PortAnswer::Unreachable(why)),
        };
        let Some(answer) = self.inspection.challenges().try_answer_name(name, certificate) else {
            return all(PortAnswer::Busy);
        };
        let looks = at.iter().map(|at| async { (*at, self.in_turn(handshake::look(*at, name, &nonce)).await) });
        let mut seen = join_all(looks).await;
        if !answer.is_shown() {
            // A validation has begun meanwhile: what was seen instead of the nonce may have been its answer.
            seen.iter_mut().filter(|(_, seen)| *seen != PortAnswer::Us).for_each(|(_, seen)| *seen = PortAnswer::Busy);
        }
        seen
    }

    async fn in_turn<T>(&self, look: impl Future<Output = T>) -> T {
        let _permit = self.connections.acquire().await;
        look.await
    }

    fn past(&self, name: &str) -> PastAttempts {
        let wanted = self.wanted.iter().find(|wanted| wanted.names.iter().any(|other| other == name));
        let now = SystemTime::now();
        let names = wanted.map_or_else(|| vec![name.to_owned()], |wanted| wanted.names.clone());
        PastAttempts {
            attempts: wanted.map(|wanted| self.inspection.attempts(&wanted.site)).unwrap_or_default(),
            recent: self.inspection.recent(name, now),
            held: self.inspection.held(&names, now),
        }
    }
}

impl DoctorQuestion {
    /// What is wrong with it.
    pub fn objection(&self) -> Option<String> {
        let host = self.host.as_ref()?;
        match host.parse::<HostPattern>() {
            Ok(HostPattern::Any) => Some("\"*\" is no name; leave HOST out to look at all".to_owned()),
            Ok(_) => None,
            Err(invalid) => Some(invalid.to_string()),
        }
    }
}

fn nothing_to_do(acme: &Acme) -> Finding {
    let finding =
        Finding::new(Check::Config, Mark::Skipped, "the config", "no site wants a certificate of an authority");
    match acme.email {
        None => finding.advise("set email in [acme]"),
        Some(_) => finding,
    }
}

/// Cannot be guessed.
fn random() -> Result<[u8; 32], PortAnswer> {
    let mut bytes = [0; 32];
    let filled = aws_lc_rs::rand::fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| PortAnswer::Unreachable("the system has no random numbers".to_owned()))
}

fn text(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
