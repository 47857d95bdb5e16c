//! Accounts with authorities, one for each directory. The key is on disk before it is registered, so that no crash leads to a
//! second account.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use instant_acme::{Account, Key};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::failure::{AcmeFailure, FailureKind};
use super::http::AuthorityHttp;
use super::register::register;
use crate::config::Acme;
use crate::state::{create_private_dir, remove_half_written, set_aside, write_durably};

/// All of them. One is opened at a time, for each directory.
pub struct Accounts {
    folder: PathBuf,
    open: RefCell<HashMap<String, Rc<Mutex<AccountSlot>>>>,
}

/// What became of opening an account.
#[derive(Default)]
enum AccountSlot {
    #[default]
    Untried,
    Open(AccountClient),
    Failed(AcmeFailure, Instant),
}

/// An account that is ready, and what its HTTP client sees.
#[derive(Clone)]
pub struct AccountClient {
    pub account: Account,
    http: AuthorityHttp,
}

/// `account.json`.
#[derive(Serialize, Deserialize)]
struct SavedAccount {
    directory: String,
    /// The account's URL; `None`: not known to be registered.
    id: Option<String>,
    contact: Option<String>,
    #[serde(default)]
    eab_kid: Option<String>,
    /// PKCS#8, in base64.
    key: String,
}

impl Accounts {
    pub fn new(acme: &Path) -> Self {
        Self { folder: acme.join("accounts"), open: RefCell::default() }
    }

    /// The account with this directory: as it is in memory, on disk, or registered now.
    pub async fn open(&self, directory: &str, settings: &Acme) -> Result<AccountClient, AcmeFailure> {
        let asked = Instant::now();
        let slot = self.open.borrow_mut().entry(directory.to_owned()).or_default().clone();
        let mut slot = slot.lock().await;
        match &*slot {
            AccountSlot::Open(client) => return Ok(client.clone()),
            // Tried while this call waited: a directory that does not answer is not asked a thousand times in a row.
            AccountSlot::Failed(failure, at) if *at >= asked => return Err(failure.clone()),
            _ => {}
        }
        let opened = self.open_now(directory, settings).await;
        *slot = match &opened {
            Ok(client) => AccountSlot::Open(client.clone()),
            Err(failure) => AccountSlot::Failed(failure.clone(), Instant::now()),
        };
        opened
    }

    async fn open_now(&self, directory: &str, settings: &Acme) -> Result<AccountClient, AcmeFailure> {
        let http =
            AuthorityHttp::new(settings.ca_file.as_deref()).map_err(|why| AcmeFailure::new(FailureKind::Local, why))?;
        let file = AccountFile::of(&self.folder, directory)?;
        let account = match file.read(directory)? {
            Some(kept) if is_same_binding(&kept, directory, settings) => file.reopen(kept, settings, &http).await,
            _ => file.make(directory, settings, &http).await,
        };
        let account = account.map_err(|error| error.into_failure(&http))?;
        Ok(AccountClient { account, http })
    }

    /// The account's URL, if it is on disk. Sends nothing and changes nothing.
    pub fn known(&self, directory: &str) -> Option<String> {
        let text = std::fs::read(self.folder.join(folder_name(directory)).join("account.json")).ok()?;
        let kept: SavedAccount = serde_json::from_slice(&text).ok()?;
        kept.id.filter(|_| kept.directory == directory)
    }

    /// Opened anew at the next use: the directory's answers or the settings may have changed.
    pub fn forget(&self, directory: &str) {
        self.open.borrow_mut().remove(directory);
    }

    pub fn forget_all(&self) {
        self.open.borrow_mut().clear();
    }

    /// The authority does not know the account: its key is registered again at the next use.
    pub fn lost(&self, directory: &str) {
        self.forget(directory);
        let Ok(file) = AccountFile::of(&self.folder, directory) else { return };
        if let Ok(Some(kept)) = file.read(directory) {
            let _ = file.write(&SavedAccount { id: None, contact: None, ..kept });
        }
    }
}

impl AccountClient {
    pub fn failure(&self, error: &instant_acme::Error) -> AcmeFailure {
        AcmeFailure::of(error, self.http.refusal())
    }
}

/// Another external account means another account.
fn is_same_binding(kept: &SavedAccount, directory: &str, settings: &Acme) -> bool {
    kept.eab_kid.as_deref() == binding(directory, settings).map(|eab| eab.kid.as_str())
}

/// The binding belongs to the first directory.
fn binding<'a>(directory: &str, settings: &'a Acme) -> Option<&'a crate::config::ExternalAccount> {
    settings.eab.as_ref().filter(|_| settings.directory == directory)
}

enum OpenError {
    Acme(instant_acme::Error),
    Local(AcmeFailure),
}

impl From<instant_acme::Error> for OpenError {
    fn from(error: instant_acme::Error) -> Self {
        Self::Acme(error)
    }
}

impl OpenError {
    fn into_failure(self, http: &AuthorityHttp) -> AcmeFailure {
        match self {
            Self::Acme(error) => AcmeFailure::of(&error, http.refusal()),
            Self::Local(failure) => failure,
        }
    }
}

struct AccountFile(PathBuf);

impl AccountFile {
    fn of(accounts: &Path, directory: &str) -> Result<Self, AcmeFailure> {
        let folder = accounts.join(folder_name(directory));
        create_private_dir(&folder).map_err(|e| AcmeFailure::local(&folder.display().to_string(), e))?;
        remove_half_written(&folder);
        Ok(Self(folder.join("account.json")))
    }

    /// A damaged one is moved aside. One that can't be read now is left alone: a second account would take its place.
    fn read(&self, directory: &str) -> Result<Option<SavedAccount>, AcmeFailure> {
        let text = match std::fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AcmeFailure::local(&self.0.display().to_string(), error)),
        };
        let kept = serde_json::from_slice::<SavedAccount>(&text).ok();
        let kept = kept.filter(|kept| kept.directory == directory && key_of(kept).is_some());
        if kept.is_none() {
            let aside = set_aside(&self.0).unwrap_or_default();
            tracing::error!(aside = %aside.display(), "an account is damaged and was moved aside: a new one is registered");
        }
        Ok(kept)
    }

    fn write(&self, kept: &SavedAccount) -> Result<(), OpenError> {
        let text = serde_json::to_vec_pretty(kept).map_err(std::io::Error::other);
        let written = text.and_then(|text| write_durably(&self.0, &text));
        written.map_err(|e| OpenError::Local(AcmeFailure::local(&self.0.display().to_string(), e)))
    }

    async fn reopen(&self, kept: SavedAccount, settings: &Acme, http: &AuthorityHttp) -> Result<Account, OpenError> {
        let Some(der) = key_of(&kept) else { return self.make(&kept.directory, settings, http).await };
        let kept = match &kept.id {
            Some(_) => kept,
            None => self.register(kept, &der, settings, http).await?,
        };
        let id = kept.id.clone().unwrap_or_default();
        let builder = Account::builder_with_http(Box::new(http.clone()));
        let account = builder.from_parts(id, der, kept.directory.clone()).await?;
        self.tell_contact(account, kept, settings).await
    }

    async fn make(&self, directory: &str, settings: &Acme, http: &AuthorityHttp) -> Result<Account, OpenError> {
        let (_, key) = Key::generate_pkcs8()?;
        let kept = SavedAccount {
            directory: directory.to_owned(),
            id: None,
            contact: None,
            eab_kid: binding(directory, settings).map(|eab| eab.kid.clone()),
            key: BASE64_STANDARD.encode(key.secret_pkcs8_der()),
        };
        self.write(&kept)?;
        Box::pin(self.reopen(kept, settings, http)).await
    }

    async fn register(
        &self,
        kept: SavedAccount,
        key: &PrivatePkcs8KeyDer<'_>,
        settings: &Acme,
        http: &AuthorityHttp,
    ) -> Result<SavedAccount, OpenError> {
        let binding = binding(&kept.directory, settings);
        let id = register(http, &kept.directory, key, contact(settings).as_deref(), binding).await?;
        tracing::info!(directory = kept.directory, account = id, "account registered");
        let kept = SavedAccount { id: Some(id), contact: settings.email.clone(), ..kept };
        self.write(&kept)?;
        Ok(kept)
    }

    /// Once for each address. It is where the authority writes to; no certificate depends on it.
    async fn tell_contact(&self, account: Account, kept: SavedAccount, settings: &Acme) -> Result<Account, OpenError> {
        if kept.contact == settings.email {
            return Ok(account);
        }
        let contact = contact(settings);
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        match account.update_contacts(&contact).await {
            Ok(()) => self.write(&SavedAccount { contact: settings.email.clone(), ..kept })?,
            Err(error) => tracing::warn!(directory = kept.directory, %error, "the authority does not take acme.email"),
        }
        Ok(account)
    }
}

fn contact(settings: &Acme) -> Option<String> {
    settings.email.as_ref().map(|email| format!("mailto:{email}"))
}

fn key_of(kept: &SavedAccount) -> Option<PrivatePkcs8KeyDer<'static>> {
    let der = PrivatePkcs8KeyDer::from(BASE64_STANDARD.decode(&kept.key).ok()?);
    Key::from_pkcs8_der(der.clone_key()).ok()?;
    Some(der)
}

/// Readable, and one for each URL: `acme-v02.api.letsencrypt.org-1f2e3d4c`.
fn folder_name(directory: &str) -> String {
    let host = directory.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let safe: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let hash = digest(&SHA256, directory.as_bytes());
    let hash: String = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{safe}-{hash}")
}
