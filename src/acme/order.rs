//! One order, from its beginning or from where a crash left it, to a certificate.
//!
//! The process may die at every step. So what is needed to go on is on disk before the step is taken, and what the authority
//! was shown is taken back however the order ends.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::{
    AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::authority::{AccountClient, AcmeFailure, FailureKind, describe};
use super::storage::{CertificateFolder, PendingOrder, ValidationLedger};
use super::text::one_line;
use super::validation::{hook, hook::HookVerb, present};
use crate::challenge::{ChallengeAnswer, Challenges};
use crate::config::{Acme, AcmeChallenge, CertificateFiles};
use crate::tls::{self, CertificateError, Content, LoadedCertificate};

/// An order that takes longer is given up: a six-day certificate can't wait much longer.
const STALE: Duration = Duration::from_hours(6);

/// What an order works with.
pub struct OrderContext<'a> {
    pub client: &'a AccountClient,
    pub settings: &'a Acme,
    pub directory: &'a str,
    pub folder: &'a CertificateFolder,
    pub ledger: &'a ValidationLedger,
    pub challenges: &'a Arc<Challenges>,
    pub names: &'a [String],
    /// The certificate to be replaced, and whether its authority would like to know.
    pub replaces: Option<CertificateIdentifier<'static>>,
    /// Failures in a row so far: which kind of challenge is tried.
    pub failures: u32,
}

/// A certificate that was checked.
pub struct Certificate {
    pub chain: String,
    pub key: String,
    pub loaded: LoadedCertificate,
}

/// The answers that an authority can see now.
#[derive(Default)]
struct FinishedOrder {
    answers: Vec<ChallengeAnswer>,
    /// Names whose validation was entered.
    entered: Vec<String>,
}

impl OrderContext<'_> {
    pub async fn issue(&self) -> Result<Certificate, AcmeFailure> {
        let (mut order, mut pending) = self.begin_or_resume().await?;
        let issued = self.carry_out(&mut order, &mut pending).await;
        self.clean_up(&mut pending).await;
        if let Err(failure) = &issued
            && failure.kind != FailureKind::Unreachable
        {
            self.folder.clear_pending();
        }
        issued
    }

    async fn carry_out(&self, order: &mut Order, pending: &mut PendingOrder) -> Result<Certificate, AcmeFailure> {
        if order.state().status == OrderStatus::Pending {
            self.prove(order, pending).await?;
        }
        if order.state().status == OrderStatus::Ready {
            let csr = request(self.names, &pending.key).map_err(|why| AcmeFailure::new(FailureKind::Local, why))?;
            order.finalize_csr(&csr).await.map_err(|e| self.client.failure(&e))?;
        }
        let chain = order.poll_certificate(&patience()).await.map_err(|e| self.client.failure(&e))?;
        self.check(chain, &pending.key)
    }

    async fn begin_or_resume(&self) -> Result<(Order, PendingOrder), AcmeFailure> {
        if let Some(mut pending) = self.folder.pending().map_err(|e| AcmeFailure::local("the order's file", e))? {
            self.clean_up(&mut pending).await;
            if self.fits(&pending) {
                match self.client.account.order(pending.url.clone()).await {
                    Ok(mut order) => {
                        if order.state().status != OrderStatus::Invalid {
                            tracing::info!(names = self.names.join(", "), order = pending.url, "order resumed");
                            return Ok((order, pending));
                        }
                    }
                    Err(error) => {
                        let failure = self.client.failure(&error);
                        // An order that the authority no longer knows is begun anew. One that it can't tell about now is kept.
                        if failure.kind != FailureKind::Refused {
                            return Err(failure);
                        }
                    }
                }
            }
            self.folder.clear_pending();
        }
        self.begin().await
    }

    fn fits(&self, pending: &PendingOrder) -> bool {
        let age = SystemTime::now().duration_since(pending.begun).unwrap_or_default();
        pending.names == self.names
            && pending.directory == self.directory
            && pending.profile == self.settings.profile
            && age < STALE
    }

    /// If the process dies before the order's address is on disk, the order stays at the authority and we can't find it again:
    /// hardly any authority offers account.orders (RFC 8555, 7.1.2.1). Let's Encrypt returns the same order to the next request
    /// for the same names; at others it stays until it expires.
    async fn begin(&self) -> Result<(Order, PendingOrder), AcmeFailure> {
        let key = KeyPair::generate().map_err(|e| AcmeFailure::local("a new key", e))?;
        let identifiers: Vec<Identifier> = self.names.iter().map(|name| Identifier::Dns(name.clone())).collect();
        let mut new = NewOrder::new(&identifiers);
        let profile = self.profile()?;
        if let Some(profile) = profile {
            new = new.profile(profile);
        }
        let order = match self.replaces.clone() {
            Some(replaced) => match self.client.account.new_order(&new.replaces(replaced)).await {
                // A courtesy, no condition.
                Err(Error::Unsupported(_) | Error::Other(_)) => self.plain_order(&identifiers, profile).await,
                Err(Error::Api(problem)) if is_about_replacing(&problem) => {
                    self.plain_order(&identifiers, profile).await
                }
                other => other,
            },
            None => self.client.account.new_order(&new).await,
        };
        let order = order.map_err(|e| self.client.failure(&e))?;
        let pending = PendingOrder {
            url: order.url().to_owned(),
            directory: self.directory.to_owned(),
            names: self.names.to_vec(),
            profile: self.settings.profile.clone(),
            key: key.serialize_pem(),
            begun: SystemTime::now(),
            records: Vec::new(),
        };
        self.keep(&pending)?;
        Ok((order, pending))
    }

    async fn plain_order(&self, identifiers: &[Identifier], profile: Option<&str>) -> Result<Order, Error> {
        let mut new = NewOrder::new(identifiers);
        if let Some(profile) = profile {
            new = new.profile(profile);
        }
        self.client.account.new_order(&new).await
    }

    /// The first directory has to know the profile. From the second one a certificate without it is better than none.
    fn profile(&self) -> Result<Option<&str>, AcmeFailure> {
        let Some(profile) = self.settings.profile.as_deref() else { return Ok(None) };
        let known: Vec<&str> = self.client.account.profiles().map(|known| known.name).collect();
        if known.contains(&profile) {
            return Ok(Some(profile));
        }
        if self.directory != self.settings.directory {
            return Ok(None);
        }
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        Err(AcmeFailure::new(
            FailureKind::Refused,
            format!("acme.profile {profile:?} is none of the authority's: {known}"),
        ))
    }

    /// Until the authority has seen that every name is ours.
    async fn prove(&self, order: &mut Order, pending: &mut PendingOrder) -> Result<(), AcmeFailure> {
        let mut out = FinishedOrder::default();
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let authorization = next.map_err(|e| self.client.failure(&e))?;
            let name = authorization.identifier().to_string();
            if !self.names.contains(&name) {
                let text = format!("the authority wants to validate {}, which was not asked for", one_line(&name));
                return Err(AcmeFailure::new(FailureKind::Refused, text));
            }
            match authorization.status {
                AuthorizationStatus::Valid => {}
                AuthorizationStatus::Pending => self.answer(authorization, pending, &mut out).await?,
                status => {
                    return Err(AcmeFailure::new(
                        FailureKind::Validation,
                        format!("{name}: the authorization is {status:?}"),
                    ));
                }
            }
        }
        let ready = order.poll_ready(&patience()).await;
        match ready {
            Ok(OrderStatus::Ready) => {
                out.entered.iter().for_each(|name| self.ledger.succeeded(name, SystemTime::now()));
                Ok(())
            }
            Ok(_) | Err(Error::Api(_)) => Err(self.explain(order, &out, ready.err()).await),
            Err(error) => Err(self.client.failure(&error)),
        }
    }

    /// Puts the answer to one challenge where the authority looks, and says so.
    async fn answer(
        &self,
        mut authorization: AuthorizationHandle<'_>,
        pending: &mut PendingOrder,
        out: &mut FinishedOrder,
    ) -> Result<(), AcmeFailure> {
        let name = authorization.identifier().to_string();
        let offered: Vec<_> = authorization.challenges.iter().filter_map(|c| present::kind_of(&c.r#type)).collect();
        let preferred = &self.settings.challenges;
        let kind = present::choose(preferred, &offered, self.failures).ok_or_else(|| {
            let names =
                |kinds: &[AcmeChallenge]| kinds.iter().map(|k| present::name_of(*k)).collect::<Vec<_>>().join(", ");
            let text =
                format!("{name}: the authority offers {}, acme.challenges has {}", names(&offered), names(preferred));
            AcmeFailure::new(FailureKind::Refused, text)
        })?;
        let Some(mut challenge) = authorization.challenge(present::type_of(kind)) else { return Ok(()) };
        let key = challenge.key_authorization();
        match kind {
            AcmeChallenge::Http01 => out.answers.push(present::by_token(self.challenges, &challenge.token, &key)),
            AcmeChallenge::TlsAlpn01 => out.answers.push(present::by_certificate(self.challenges, &name, &key)?),
            AcmeChallenge::Dns01 => self.set_record(present::record_of(&name), key.dns_value(), pending).await?,
        }
        let entered = self.ledger.begin(&name, SystemTime::now());
        entered.map_err(|e| AcmeFailure::local("the list of validations", e))?;
        out.entered.push(name.clone());
        tracing::debug!(name, challenge = present::name_of(kind), "the authority may look");
        challenge.set_ready().await.map_err(|e| self.client.failure(&e))
    }

    /// The record is on disk before it is set, so that the next process can take it back.
    async fn set_record(&self, fqdn: String, value: String, pending: &mut PendingOrder) -> Result<(), AcmeFailure> {
        let program = present::hook(self.settings.dns_hook.as_deref())?;
        pending.records.push((fqdn.clone(), value.clone()));
        self.keep(pending)?;
        hook::run(program, HookVerb::Present, &fqdn, &value)
            .await
            .map_err(|why| AcmeFailure::new(FailureKind::Local, why))
    }

    /// Takes back the records that a hook has set, by this process or the one before.
    async fn clean_up(&self, pending: &mut PendingOrder) {
        if pending.records.is_empty() {
            return;
        }
        let Ok(program) = present::hook(self.settings.dns_hook.as_deref()) else { return };
        hook::take_back(program, &std::mem::take(&mut pending.records)).await;
        let _ = self.keep(pending);
    }

    fn keep(&self, pending: &PendingOrder) -> Result<(), AcmeFailure> {
        self.folder.set_pending(pending).map_err(|e| AcmeFailure::local("the order's file", e))
    }

    /// Why the authority refuses which name. The reason is in the challenges, not always in the order.
    async fn explain(&self, order: &mut Order, out: &FinishedOrder, error: Option<Error>) -> AcmeFailure {
        let mut reasons = Vec::new();
        let mut problem = None;
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization.refresh().await.is_err() {
                continue;
            }
            let name = authorization.identifier().to_string();
            if authorization.status == AuthorizationStatus::Valid && out.entered.contains(&name) {
                self.ledger.succeeded(&name, SystemTime::now());
            }
            for challenge in &authorization.challenges {
                if let Some(found) = &challenge.error {
                    let kind = present::kind_of(&challenge.r#type).map_or("challenge", present::name_of);
                    reasons.push(format!("{name} by {kind}: {}", describe(found, found.status.unwrap_or_default())));
                    problem = problem.or_else(|| AcmeFailure::of(&Error::Api(found.clone()), None).problem);
                }
            }
        }
        let of_order = error.map(|error| self.client.failure(&error));
        if reasons.is_empty() {
            return of_order
                .unwrap_or_else(|| AcmeFailure::new(FailureKind::Validation, "the authority has refused the order"));
        }
        AcmeFailure {
            kind: FailureKind::Validation,
            problem,
            text: reasons.join("; "),
            retry_after: of_order.and_then(|f| f.retry_after),
        }
    }

    /// Checks what the authority has issued before it is used.
    fn check(&self, chain: String, key: &str) -> Result<Certificate, AcmeFailure> {
        // Each new order costs the authority one more certificate: the next is not asked for soon.
        let wrong = |why: String| AcmeFailure::new(FailureKind::Refused, format!("the authority's certificate: {why}"));
        let (cert_path, key_path) = self.folder.files(0);
        let content = Content { cert: chain.clone().into(), key: key.into() };
        let loaded = tls::parse(&CertificateFiles { cert: cert_path, key: key_path }, &content);
        let loaded = loaded.map_err(|error| match error {
            // There is no certificate in the answer: the order is kept and asked again.
            CertificateError::NoCertificate { .. } | CertificateError::Pem { .. } => {
                AcmeFailure { kind: FailureKind::Unreachable, ..wrong(error.to_string()) }
            }
            error => wrong(error.to_string()),
        })?;
        if loaded.not_after <= SystemTime::now() {
            return Err(wrong("it has expired, or this machine's clock is wrong".to_owned()));
        }
        if let Some(missing) = self.names.iter().find(|name| !loaded.names.contains(name)) {
            return Err(wrong(format!("{missing} is not in it")));
        }
        Ok(Certificate { chain, key: key.to_owned(), loaded })
    }
}

fn is_about_replacing(problem: &instant_acme::Problem) -> bool {
    let says = |text: &Option<String>| text.as_deref().is_some_and(|text| text.to_lowercase().contains("replace"));
    says(&problem.r#type) || says(&problem.detail)
}

/// From a quarter of a second upwards; three minutes in all.
fn patience() -> RetryPolicy {
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_mins(3))
}

/// A certificate signing request (RFC 2986) for names and nothing else.
fn request(names: &[String], key: &str) -> Result<Vec<u8>, String> {
    let key = KeyPair::from_pem(key).map_err(|e| e.to_string())?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(|e| e.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(|e| e.to_string())?;
    Ok(request.der().to_vec())
}
