//! All certificates of authorities: which there are, and the requests that reach them from outside.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;

use super::authority::{Accounts, AcmeFailure};
use super::inspection::Inspection;
use super::keeper::{AcmeContext, IssueResult, Keeper};
use super::storage::{CertificateFolder, OtherFolders, PendingOrder, ValidationLedger};
use super::validation::hook;
use crate::challenge::Challenges;
use crate::config::Acme;
use crate::metrics::Metrics;
use crate::resolve::Resolver;
use crate::supervise::keep_running;
use crate::tls::{CertSource, CertStatus, CertStore, WantedCertificate};
use crate::types::{certificate_name_covers, normal_name};

/// Orders under way at once, over all certificates: authorities limit them.
const AT_ONCE: usize = 4;

/// Lives on the control runtime; its tasks end with it.
pub struct Manager {
    certificates: PathBuf,
    metrics: Arc<Metrics>,
    shared: Rc<AcmeContext>,
    kept: RefCell<BTreeMap<Arc<str>, RunningKeeper>>,
}

/// For callers on any thread.
#[derive(Clone)]
pub struct AcmeHandle(mpsc::UnboundedSender<ManagerRequest>);

enum ManagerRequest {
    Renew { host: String, answer: oneshot::Sender<Result<Renewal, NotRenewed>> },
    Inspect(InspectionCall),
}

/// Runs on the control runtime. Longer work belongs in a task of its own.
type InspectionCall = Box<dyn FnOnce(Inspection) + Send>;

/// A certificate that was issued because someone asked.
#[derive(Debug, Clone)]
pub struct Renewal {
    pub names: Vec<String>,
    pub issuer: String,
    pub not_after: SystemTime,
    pub next_renewal: SystemTime,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum NotRenewed {
    /// `known`: the names of those that an authority issues.
    #[error("no certificate for {host} comes from an authority: {why}; there is {known}")]
    NoSuchCertificate { host: String, why: String, known: String },
    #[error("{names}: {failure}")]
    Failed { names: String, failure: AcmeFailure },
    #[error("the daemon is shutting down, or the site has left the config")]
    Gone,
}

/// One certificate's task. It ends when this is dropped; the next task resumes what it had begun.
struct RunningKeeper {
    keeper: Rc<Keeper>,
    task: AbortHandle,
}

impl Drop for RunningKeeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Manager {
    /// Sends nothing, and leaves the disk alone until a certificate is wanted.
    pub fn new(
        state_dir: &Path,
        store: Arc<CertStore>,
        challenges: Arc<Challenges>,
        metrics: Arc<Metrics>,
        resolver: Resolver,
    ) -> Rc<Self> {
        let folder = state_dir.join("acme");
        let certificates = folder.join("certificates");
        let shared = AcmeContext {
            store,
            challenges,
            accounts: Accounts::new(&folder),
            ledger: ValidationLedger::open(&folder),
            resolver: RefCell::new(resolver),
            orders: Semaphore::new(AT_ONCE),
            questions: Semaphore::new(AT_ONCE),
        };
        Rc::new(Self { certificates, metrics, shared: Rc::new(shared), kept: RefCell::default() })
    }

    /// Keeps the certificates that the store wants now, and no others. Those that are on disk serve once this has returned.
    pub fn follow(&self, settings: &Acme) {
        let settings = Rc::new(settings.clone());
        let estate = OtherFolders::of(&self.certificates);
        let mut before = self.kept.take();
        let is_first = before.is_empty();
        if before.values().any(|kept| *kept.keeper.settings != *settings) {
            self.shared.accounts.forget_all();
        }
        let mut news = Vec::new();
        for wanted in self.shared.store.wanted() {
            let site = wanted.site.clone();
            let same = |kept: &RunningKeeper| kept.keeper.wanted == wanted && *kept.keeper.settings == *settings;
            let kept = match before.remove(&site) {
                Some(kept) if same(&kept) => kept,
                old => {
                    // Its task is gone before another works in the same folder.
                    drop(old);
                    let Some(kept) = self.keep(wanted, &settings, &estate) else { continue };
                    news.push(kept.keeper.told());
                    kept
                }
            };
            self.kept.borrow_mut().insert(site, kept);
        }
        self.shared.store.tell(news);
        if is_first || !before.is_empty() {
            let hook = before.values().find_map(|kept| kept.keeper.settings.dns_hook.clone());
            drop(before);
            self.take_records_back(hook.or_else(|| settings.dns_hook.clone()).as_deref());
        }
    }

    /// Takes back the DNS records of orders whose certificates are no longer wanted, left by this process or the one before.
    fn take_records_back(&self, hook: Option<&Path>) {
        let kept = self.kept.borrow();
        let is_forsaken = |folder: &CertificateFolder| !kept.keys().any(|site| folder.is_of(site));
        for folder in CertificateFolder::everyone(&self.certificates).filter(is_forsaken) {
            let Ok(Some(pending)) = folder.pending() else { continue };
            let (Some(hook), false) = (hook.map(Path::to_owned), pending.records.is_empty()) else { continue };
            // Ends with the hook, which is bounded in time.
            tokio::task::spawn_local(async move {
                hook::take_back(&hook, &pending.records).await;
                // If the certificate is wanted again by now, its keeper has taken the records back too.
                if folder.pending().is_ok_and(|now| now.as_ref() == Some(&pending)) {
                    let _ = folder.set_pending(&PendingOrder { records: Vec::new(), ..pending });
                }
            });
        }
    }

    /// Connections to authorities are made anew, with the roots that `ca_file` holds now.
    pub fn reopen_accounts(&self) {
        self.shared.accounts.forget_all();
    }

    pub fn set_resolver(&self, resolver: Resolver) {
        *self.shared.resolver.borrow_mut() = resolver;
    }

    /// Answers until the last handle is gone.
    pub fn handle(self: &Rc<Self>) -> AcmeHandle {
        let (sender, asked) = mpsc::unbounded_channel::<ManagerRequest>();
        let (this, asked) = (self.clone(), Rc::new(Mutex::new(asked)));
        let take = move || this.clone().take_requests(asked.clone());
        // Ends with the control runtime.
        tokio::task::spawn_local(keep_running("acme", self.metrics.clone(), take));
        AcmeHandle(sender)
    }

    async fn take_requests(self: Rc<Self>, asked: Rc<Mutex<mpsc::UnboundedReceiver<ManagerRequest>>>) -> String {
        let mut asked = asked.lock().await;
        while let Some(ask) = asked.recv().await {
            match ask {
                ManagerRequest::Renew { host, answer } => self.renew(host, answer),
                ManagerRequest::Inspect(look) => look(self.inspection()),
            }
        }
        // Nothing is left that could ask.
        std::future::pending().await
    }

    fn keep(&self, wanted: WantedCertificate, settings: &Rc<Acme>, estate: &OtherFolders<'_>) -> Option<RunningKeeper> {
        let failed = wanted.names.iter().map(|name| self.metrics.acme_failures(name)).collect();
        let folder = CertificateFolder::open(&self.certificates, &wanted.site);
        let folder = folder.and_then(|folder| estate.hand_on(&folder, &wanted.names).map(|()| folder));
        let keeper = folder.and_then(|folder| Keeper::open(&self.shared, settings, wanted.clone(), folder, failed));
        match keeper {
            Ok(mut keeper) => {
                let own = keeper.told().1.loaded;
                keeper.lent = estate.lend(own.as_ref(), &keeper.wanted.names);
                let keeper = Rc::new(keeper);
                if own.is_none() {
                    let names = keeper.wanted.names.join(", ");
                    tracing::warn!(names, "no certificate yet: the internal CA's stands in until one is issued");
                }
                // Ends when `RunningKeeper` is dropped: by a reload that no longer wants it, or with the control runtime.
                let again = keeper.clone();
                let task = keep_running("acme-keeper", self.metrics.clone(), move || again.clone().run());
                let task = tokio::task::spawn_local(task).abort_handle();
                Some(RunningKeeper { keeper, task })
            }
            Err(error) => {
                tracing::error!(names = wanted.names.join(", "), %error, "its folder in state_dir can't be used");
                self.shared.store.note_error(wanted.site, format!("its folder in state_dir can't be used: {error}"));
                None
            }
        }
    }

    fn renew(&self, host: String, answer: oneshot::Sender<Result<Renewal, NotRenewed>>) {
        let kept = self.kept.borrow();
        let lower = normal_name(&host).into_owned();
        let covers =
            |kept: &&RunningKeeper| kept.keeper.wanted.names.iter().any(|name| certificate_name_covers(name, &lower));
        let Some(found) = kept.values().find(covers) else {
            let known: Vec<String> = kept.values().map(|kept| kept.keeper.wanted.names.join(", ")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let why = self.why_not_renewed(&lower);
            let _ = answer.send(Err(NotRenewed::NoSuchCertificate { host, why, known }));
            return;
        };
        let names = found.keeper.wanted.names.clone();
        let (ended, end) = oneshot::channel();
        found.keeper.renew(ended);
        // Ends with the attempt.
        tokio::task::spawn_local(async move {
            let _ = answer.send(end.await.map_or(Err(NotRenewed::Gone), |outcome| told(names, outcome)));
        });
    }

    /// Where else the certificate for a name comes from.
    fn why_not_renewed(&self, name: &str) -> String {
        let covers = |status: &CertStatus| status.names.iter().any(|own| certificate_name_covers(own, name));
        match self.shared.store.status().into_iter().find(covers).map(|status| status.source) {
            Some(CertSource::File(path)) => {
                format!("it is in {}, and is taken up when you write a new one there", path.display())
            }
            Some(_) => "the internal CA signs it, and renews it by itself".to_owned(),
            None => "no site has the name, or no authority is asked for it (see [acme] email, and tls of the site)"
                .to_owned(),
        }
    }

    fn inspection(&self) -> Inspection {
        let attempts = self.kept.borrow().iter().map(|(site, kept)| (site.clone(), kept.keeper.attempts())).collect();
        Inspection::new(self.shared.clone(), attempts)
    }
}

impl AcmeHandle {
    /// An attempt now, or the one under way; answers when it has ended.
    pub async fn renew(&self, host: String) -> Result<Renewal, NotRenewed> {
        let (answer, answered) = oneshot::channel();
        self.0.send(ManagerRequest::Renew { host, answer }).map_err(|_| NotRenewed::Gone)?;
        answered.await.map_err(|_| NotRenewed::Gone)?
    }

    /// Has `look` called on the control runtime with what issuance depends on.
    pub fn inspect(&self, look: impl FnOnce(Inspection) + Send + 'static) -> Result<(), NotRenewed> {
        self.0.send(ManagerRequest::Inspect(Box::new(look))).map_err(|_| NotRenewed::Gone)
    }
}

fn told(names: Vec<String>, outcome: IssueResult) -> Result<Renewal, NotRenewed> {
    match outcome {
        Ok(issued) => Ok(Renewal {
            names,
            issuer: issued.loaded.issuer.clone(),
            not_after: issued.loaded.not_after,
            next_renewal: issued.renew_at(),
        }),
        Err(failure) => Err(NotRenewed::Failed { names: names.join(", "), failure }),
    }
}
