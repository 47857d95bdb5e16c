//! One certificate's life: issued, renewed, tried again after a failure. Each has a task on the control runtime.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use instant_acme::CertificateIdentifier;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::authority::{Accounts, AcmeFailure, FailureKind};
use super::order::{Certificate, OrderContext};
use super::schedule::{self, RenewalWindow, Situation, Validity};
use super::storage::{
    Attempts, CertificateFolder, CertificateMeta, IssuedCertificate, LastFailure, ValidationLedger, fingerprint, fits,
    is_forsaken,
};
use super::text::show_time;
use crate::challenge::Challenges;
use crate::config::{Acme, AcmeChallenge};
use crate::resolve::Resolver;
use crate::tls::{CertStore, IssuedState, LoadedCertificate, WantedCertificate};

/// The longest sleep: the clock may be set meanwhile, and the machine may sleep.
const LOOK: Duration = Duration::from_mins(10);

/// How often a name that did not resolve is looked up again.
const LOOK_UP: Duration = Duration::from_mins(1);

/// How soon an authority is asked for its window again when it did not answer.
const ASK_LATER: Duration = Duration::from_hours(6);

/// With a certificate at hand, the second directory is not asked before this many failures with the first.
const BEFORE_FALLBACK: u32 = 3;

/// What all keepers share.
pub(super) struct AcmeContext {
    pub store: Arc<CertStore>,
    pub challenges: Arc<Challenges>,
    pub accounts: Accounts,
    pub ledger: ValidationLedger,
    pub resolver: RefCell<Resolver>,
    /// Orders under way at once.
    pub orders: Semaphore,
    /// Questions for a renewal window under way at once.
    pub questions: Semaphore,
}

pub(super) type IssueResult = Result<Rc<IssuedCertificate>, AcmeFailure>;

pub(super) struct Keeper {
    shared: Rc<AcmeContext>,
    pub settings: Rc<Acme>,
    pub wanted: WantedCertificate,
    folder: CertificateFolder,
    /// Certificates of other sites that had some of the names before.
    pub lent: Vec<LoadedCertificate>,
    failed: Vec<Arc<AtomicU64>>,
    issued: RefCell<Option<Rc<IssuedCertificate>>>,
    attempts: RefCell<Attempts>,
    /// When the authority is asked for its window.
    ask_window: Cell<SystemTime>,
    asked: Cell<bool>,
    waiting: RefCell<Vec<oneshot::Sender<IssueResult>>>,
    wake: Notify,
}

impl Keeper {
    /// Reads what is on disk of it. Sends nothing.
    pub fn open(
        shared: &Rc<AcmeContext>,
        settings: &Rc<Acme>,
        wanted: WantedCertificate,
        folder: CertificateFolder,
        failed: Vec<Arc<AtomicU64>>,
    ) -> std::io::Result<Self> {
        let issued = folder.issued()?.map(Rc::new);
        let config = fingerprint(&wanted, settings);
        let attempts = folder.attempts()?;
        let generation = issued.as_ref().map_or(0, |issued| issued.meta.generation);
        let pending = folder.pending()?;
        // A crash came after the certificate was stored and before its attempt was struck.
        let is_done = pending.as_ref().is_some_and(|pending| folder.is_done(pending, generation));
        let is_forsaken = pending.is_some_and(|pending| is_forsaken(&pending, &wanted, settings));
        let counts = attempts.config == config && !is_done;
        let attempts = if counts { attempts } else { Attempts { config, ..Attempts::default() } };
        if is_forsaken || is_done && folder.set_attempts(&attempts).is_ok() {
            folder.clear_pending();
        }
        Ok(Self {
            shared: shared.clone(),
            settings: settings.clone(),
            attempts: RefCell::new(attempts),
            issued: RefCell::new(issued),
            folder,
            lent: Vec::new(),
            wanted,
            failed,
            ask_window: Cell::new(SystemTime::UNIX_EPOCH),
            asked: Cell::default(),
            waiting: RefCell::default(),
            wake: Notify::new(),
        })
    }

    /// For the store: what serves, when that changes, what is wrong.
    pub fn told(&self) -> (Arc<str>, IssuedState) {
        let (issued, attempts) = (self.issued.borrow(), self.attempts.borrow());
        let told = IssuedState {
            loaded: issued.as_ref().map(|issued| issued.loaded.clone()),
            lent: self.lent.clone(),
            next_renewal: Some(schedule::due(&self.situation(SystemTime::now()), SystemTime::now())),
            error: attempts.last.as_ref().map(|last| last.text.clone()),
        };
        (self.wanted.site.clone(), told)
    }

    /// An attempt now, or the one under way; the answer when it has ended. Failed validations can forbid it.
    pub fn renew(&self, answer: oneshot::Sender<IssueResult>) {
        let now = SystemTime::now();
        let names = self.wanted.names.iter().map(String::as_str);
        if let Some(until) = self.shared.ledger.held(names, now).filter(|until| *until > now) {
            let text = format!(
                "{} failed validations within the hour: none before {}, or the authority would shut us out",
                schedule::VALIDATIONS,
                show_time(until)
            );
            let _ = answer.send(Err(AcmeFailure::new(FailureKind::RateLimited, text)));
            return;
        }
        self.asked.set(true);
        self.waiting.borrow_mut().push(answer);
        self.wake.notify_one();
    }

    /// What became of attempts since the last success.
    pub fn attempts(&self) -> Attempts {
        self.attempts.borrow().clone()
    }

    /// Until it is dropped. It goes on from what is on disk: an attempt that a panic has ended counts as failed.
    pub async fn run(self: Rc<Self>) -> String {
        loop {
            let now = SystemTime::now();
            if self.ask_window.get() <= now && !self.asked.get() && !self.folder.has_pending() {
                // A request for a certificate does not wait for the window that the authority suggests.
                tokio::select! { () = self.ask_for_window() => {}, () = self.is_asked() => {} }
            }
            let begin = schedule::due(&self.situation(now), now);
            let Some(left) = begin.duration_since(now).ok().filter(|left| !left.is_zero()) else {
                self.attempt().await;
                continue;
            };
            let is_unresolved =
                self.attempts.borrow().last.as_ref().is_some_and(|last| last.kind == FailureKind::Unresolved);
            let nap = left.min(if is_unresolved { LOOK_UP } else { LOOK });
            // Ends with the nap, or when someone asks.
            let _ = tokio::time::timeout(nap, self.wake.notified()).await;
            if is_unresolved && !self.asked.get() && self.unresolved().await.is_none() {
                tracing::info!(names = self.names(), "resolves now");
                let _ = self.note(|attempts| attempts.next_try = None);
            }
        }
    }

    fn situation(&self, now: SystemTime) -> Situation {
        let (issued, attempts) = (self.issued.borrow(), self.attempts.borrow());
        let fitting = issued
            .as_ref()
            .filter(|issued| fits(&issued.meta, &self.wanted, &self.settings) && issued.loaded.not_after > now);
        Situation {
            renew_at: fitting.map(|issued| issued.renew_at()),
            next_try: attempts.next_try,
            interrupted: attempts.interrupted,
            is_begun: self.folder.has_pending(),
            held: self.shared.ledger.held(self.wanted.names.iter().map(String::as_str), now),
            asked: self.asked.get(),
        }
    }

    async fn is_asked(&self) {
        while !self.asked.get() {
            self.wake.notified().await;
        }
    }

    fn names(&self) -> String {
        self.wanted.names.join(", ")
    }

    async fn attempt(&self) {
        let Ok(_permit) = self.shared.orders.acquire().await else { return };
        let (now, random) = (SystemTime::now(), fastrand::f64());
        // Entered as a failure before it begins: if the process dies, the next one must wait too, and not begin at once for ever.
        let entered = self.note(|attempts| {
            attempts.interrupted += 1;
            attempts.next_try =
                Some(schedule::next_try(now, FailureKind::Validation, attempts.failures + 1, None, random));
        });
        let outcome = match entered {
            Ok(()) => self.issue_and_note().await,
            // If that can't be written, the attempt must not begin.
            Err(error) => Err(self.has_failed(AcmeFailure::local("attempts.json", error), None)),
        };
        self.asked.set(false);
        self.shared.store.tell([self.told()]);
        for answer in self.waiting.take() {
            let _ = answer.send(outcome.clone());
        }
    }

    async fn issue_and_note(&self) -> IssueResult {
        let unresolved = self.unresolved().await;
        if let Some(why) = &unresolved {
            tracing::warn!(
                names = self.names(),
                why,
                "does not resolve from here; the authority is asked all the same"
            );
        }
        match self.issue().await {
            Ok(issued) => Ok(self.succeeded(issued)),
            Err(failure) => Err(self.has_failed(failure, unresolved)),
        }
    }

    /// Asks the first directory, and the second one if the first fails for reasons of its own.
    async fn issue(&self) -> Result<IssuedCertificate, AcmeFailure> {
        let failures = self.attempts.borrow().failures;
        let failure = match self.issue_with(&self.settings.directory).await {
            Err(failure) if failure.kind != FailureKind::Validation && failure.kind != FailureKind::Local => failure,
            ended => return ended,
        };
        let is_urgent = self.issued.borrow().is_none() || failures >= BEFORE_FALLBACK;
        let Some(fallback) = self.settings.fallback.as_ref().filter(|_| is_urgent) else { return Err(failure) };
        tracing::warn!(names = self.names(), %failure, fallback, "the second directory is asked");
        let second = self.issue_with(fallback).await;
        second.map_err(|second| AcmeFailure { text: format!("{failure}; with the fallback: {second}"), ..second })
    }

    async fn issue_with(&self, directory: &str) -> Result<IssuedCertificate, AcmeFailure> {
        let first = self.order(directory).await;
        match &first {
            Err(failure) if failure.problem.as_deref() == Some("accountDoesNotExist") => {
                tracing::warn!(directory, "the authority does not know the account: it is registered again");
                self.shared.accounts.lost(directory);
                self.order(directory).await
            }
            Err(failure) if failure.kind == FailureKind::Unreachable => {
                self.shared.accounts.forget(directory);
                first
            }
            _ => first,
        }
    }

    async fn order(&self, directory: &str) -> Result<IssuedCertificate, AcmeFailure> {
        let client = self.shared.accounts.open(directory, &self.settings).await?;
        let before = self.issued.borrow().clone();
        let replaces = before.as_ref().filter(|issued| issued.meta.directory == directory);
        let around = OrderContext {
            client: &client,
            settings: &self.settings,
            directory,
            folder: &self.folder,
            ledger: &self.shared.ledger,
            challenges: &self.shared.challenges,
            names: &self.wanted.names,
            replaces: replaces.and_then(|issued| identifier(issued)),
            failures: self.attempts.borrow().failures,
        };
        let Certificate { chain, key, loaded } = around.issue().await?;
        let validity = Validity { from: loaded.not_before, until: loaded.not_after };
        let meta = CertificateMeta {
            generation: before.as_ref().map_or(1, |issued| issued.meta.generation + 1),
            previous: before.map(|issued| issued.meta.issued),
            names: self.wanted.names.clone(),
            directory: directory.to_owned(),
            profile: self.settings.profile.clone(),
            issued: SystemTime::now(),
            renew_at: schedule::renew_at(validity, None, fastrand::f64()),
            window: None,
        };
        self.folder.install(&meta, &chain, &key).map_err(|e| AcmeFailure::local("the certificate's files", e))?;
        Ok(IssuedCertificate { meta, loaded })
    }

    fn succeeded(&self, issued: IssuedCertificate) -> Rc<IssuedCertificate> {
        let issued = Rc::new(issued);
        tracing::info!(
            names = self.names(),
            issuer = issued.loaded.issuer,
            until = show_time(issued.loaded.not_after),
            "certificate issued"
        );
        self.ask_window.set(SystemTime::now());
        *self.issued.borrow_mut() = Some(issued.clone());
        let _ = self.note(|attempts| {
            *attempts = Attempts { config: std::mem::take(&mut attempts.config), ..Attempts::default() }
        });
        // Last: until then it tells the next process that the attempt is over.
        self.folder.clear_pending();
        issued
    }

    fn has_failed(&self, failure: AcmeFailure, unresolved: Option<String>) -> AcmeFailure {
        let failure = match unresolved {
            Some(why) if failure.kind == FailureKind::Validation => {
                let text = format!(
                    "{why}, and not for the authority either ({}); tried rarely until it resolves",
                    failure.text
                );
                AcmeFailure { kind: FailureKind::Unresolved, text, ..failure }
            }
            _ => failure,
        };
        let (now, random) = (SystemTime::now(), fastrand::f64());
        for count in &self.failed {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let expires = self.issued.borrow().as_ref().map(|issued| issued.loaded.not_after);
        let again = failure.retry_after.map(|said| schedule::heeded(said, expires, now));
        let _ = self.note(|attempts| {
            attempts.failures += 1;
            attempts.interrupted = 0;
            attempts.next_try = Some(schedule::next_try(now, failure.kind, attempts.failures, again, random));
            attempts.last = Some(LastFailure { kind: failure.kind, text: failure.text.clone(), at: now });
        });
        let next = self.attempts.borrow().next_try.map(show_time).unwrap_or_default();
        tracing::error!(names = self.names(), next, "no certificate: {failure}");
        failure
    }

    /// Counts in memory even if the disk refuses it.
    fn note(&self, change: impl FnOnce(&mut Attempts)) -> std::io::Result<()> {
        let mut attempts = self.attempts.borrow_mut();
        change(&mut attempts);
        let written = self.folder.set_attempts(&attempts);
        written.inspect_err(|error| tracing::error!(names = self.names(), %error, "attempts.json can't be written"))
    }

    /// The first name that an authority would connect to and that does not resolve here.
    async fn unresolved(&self) -> Option<String> {
        if self.settings.challenges.iter().all(|kind| *kind == AcmeChallenge::Dns01) {
            return None;
        }
        let resolver = self.shared.resolver.borrow().clone();
        for name in self.wanted.names.iter().filter(|name| !name.starts_with("*.")) {
            if let Err(why) = resolver.lookup(name).await {
                return Some(why);
            }
        }
        None
    }

    /// RFC 9773. An authority that offers no window, or does not answer, changes nothing.
    async fn ask_for_window(&self) {
        self.ask_window.set(SystemTime::now() + ASK_LATER);
        let Some(issued) =
            self.issued.borrow().clone().filter(|issued| fits(&issued.meta, &self.wanted, &self.settings))
        else {
            return;
        };
        let Some(identifier) = identifier(&issued) else { return };
        let Ok(_permit) = self.shared.questions.acquire().await else { return };
        let Ok(client) = self.shared.accounts.open(&issued.meta.directory, &self.settings).await else { return };
        let (window, again) = match client.account.renewal_info(&identifier).await {
            Ok((info, again)) => {
                let (start, end) = (SystemTime::from(info.suggested_window.start), info.suggested_window.end.into());
                if let Some(url) = &info.explanation_url {
                    tracing::info!(names = self.names(), url, "the authority explains its renewal window");
                }
                (RenewalWindow { start, end }, again)
            }
            Err(error) => return tracing::debug!(names = self.names(), %error, "no renewal window"),
        };
        self.ask_window.set(SystemTime::now() + schedule::ask_again(again));
        let Some(window) = window.within(issued.validity()).filter(|window| issued.meta.window != Some(*window)) else {
            return;
        };
        let renew_at = schedule::renew_at(issued.validity(), Some(window), fastrand::f64());
        let meta = CertificateMeta { renew_at, window: Some(window), ..issued.meta.clone() };
        if let Err(error) = self.folder.set_meta(&meta) {
            tracing::error!(names = self.names(), %error, "the renewal window can't be written to state_dir");
        }
        tracing::info!(names = self.names(), at = show_time(renew_at), "to be renewed, as the authority suggests");
        *self.issued.borrow_mut() = Some(Rc::new(IssuedCertificate { meta, loaded: issued.loaded.clone() }));
        self.shared.store.tell([self.told()]);
    }
}

/// As renewal information names a certificate (RFC 9773, 4.1).
fn identifier(issued: &IssuedCertificate) -> Option<CertificateIdentifier<'static>> {
    let leaf = issued.loaded.key.cert.first()?;
    CertificateIdentifier::try_from(leaf).ok().map(CertificateIdentifier::into_owned)
}
