//! Accounts with authorities: one for each directory, its key on disk before it is registered, so that no crash makes a second.
//!
//! Registering a key again answers with the account it has (RFC 8555, 7.3). With an external binding the library makes the
//! key itself: there, a crash between the authority's answer and our file would make a second one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, Key, NewAccount};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::failure::{Failure, Kind};
use super::http::Http;
use crate::config::Acme;
use crate::state::{create_private_dir, set_aside, write_durably};

/// All of them. One is opened at a time, for each directory.
pub struct Accounts {
    folder: PathBuf,
    open: RefCell<HashMap<String, Rc<Mutex<Option<Client>>>>>,
}

/// An account that is ready, and what its HTTP client sees.
#[derive(Clone)]
pub struct Client {
    pub account: Account,
    http: Http,
}

/// `account.json`.
#[derive(Serialize, Deserialize)]
struct Kept {
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
    pub async fn open(&self, directory: &str, settings: &Acme) -> Result<Client, Failure> {
        let slot = self.open.borrow_mut().entry(directory.to_owned()).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let http = Http::new(settings.ca_file.as_deref()).map_err(|why| Failure::new(Kind::Local, why))?;
        let file = File::of(&self.folder, directory)?;
        let account = match file.read(directory) {
            Some(kept) if is_same_binding(&kept, directory, settings) => file.reopen(kept, settings, &http).await,
            _ => file.register(directory, settings, &http).await,
        };
        let account = account.map_err(|error| error.into_failure(&http))?;
        let client = Client { account, http };
        *slot = Some(client.clone());
        Ok(client)
    }

    /// The account's URL, as far as it is on disk. Asks nobody and changes nothing.
    pub fn known(&self, directory: &str) -> Option<String> {
        let text = std::fs::read(self.folder.join(folder_name(directory)).join("account.json")).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
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
        let Ok(file) = File::of(&self.folder, directory) else { return };
        if let Some(kept) = file.read(directory) {
            let _ = file.write(&Kept { id: None, contact: None, ..kept });
        }
    }
}

impl Client {
    pub fn failure(&self, error: &instant_acme::Error) -> Failure {
        Failure::of(error, self.http.refusal())
    }
}

/// Another external account means another account.
fn is_same_binding(kept: &Kept, directory: &str, settings: &Acme) -> bool {
    kept.eab_kid.as_deref() == binding(directory, settings).map(|eab| eab.kid.as_str())
}

/// The binding belongs to the first directory.
fn binding<'a>(directory: &str, settings: &'a Acme) -> Option<&'a crate::config::ExternalAccount> {
    settings.eab.as_ref().filter(|_| settings.directory == directory)
}

enum OpenError {
    Acme(instant_acme::Error),
    Local(Failure),
}

impl From<instant_acme::Error> for OpenError {
    fn from(error: instant_acme::Error) -> Self {
        Self::Acme(error)
    }
}

impl OpenError {
    fn into_failure(self, http: &Http) -> Failure {
        match self {
            Self::Acme(error) => Failure::of(&error, http.refusal()),
            Self::Local(failure) => failure,
        }
    }
}

struct File(PathBuf);

impl File {
    fn of(accounts: &Path, directory: &str) -> Result<Self, Failure> {
        let folder = accounts.join(folder_name(directory));
        create_private_dir(&folder).map_err(|e| Failure::local(&folder.display().to_string(), e))?;
        Ok(Self(folder.join("account.json")))
    }

    /// One that can't be read is moved aside.
    fn read(&self, directory: &str) -> Option<Kept> {
        let text = std::fs::read(&self.0).ok()?;
        let kept = serde_json::from_slice::<Kept>(&text).ok();
        let kept = kept.filter(|kept| kept.directory == directory && key_of(kept).is_some());
        if kept.is_none() {
            let aside = set_aside(&self.0).unwrap_or_default();
            tracing::error!(aside = %aside.display(), "an account is damaged and was moved aside: a new one is registered");
        }
        kept
    }

    fn write(&self, kept: &Kept) -> Result<(), OpenError> {
        let text = serde_json::to_vec_pretty(kept).map_err(std::io::Error::other);
        let written = text.and_then(|text| write_durably(&self.0, &text));
        written.map_err(|e| OpenError::Local(Failure::local(&self.0.display().to_string(), e)))
    }

    async fn reopen(&self, kept: Kept, settings: &Acme, http: &Http) -> Result<Account, OpenError> {
        let Some(der) = key_of(&kept) else { return self.register(&kept.directory, settings, http).await };
        let builder = Account::builder_with_http(Box::new(http.clone()));
        let (account, kept) = match kept.id.clone() {
            Some(id) => (builder.from_parts(id, der, kept.directory.clone()).await?, kept),
            None => {
                let key = (Key::from_pkcs8_der(der.clone_key())?, PrivateKeyDer::Pkcs8(der));
                let (account, _) = builder.create_from_key(key, kept.directory.clone()).await?;
                let kept = Kept { id: Some(account.id().to_owned()), ..kept };
                self.write(&kept)?;
                (account, kept)
            }
        };
        self.tell_contact(account, kept, settings).await
    }

    async fn register(&self, directory: &str, settings: &Acme, http: &Http) -> Result<Account, OpenError> {
        let kept = |id, key: &PrivatePkcs8KeyDer<'_>, eab_kid| Kept {
            directory: directory.to_owned(),
            id,
            contact: None,
            eab_kid,
            key: BASE64_STANDARD.encode(key.secret_pkcs8_der()),
        };
        let Some(eab) = binding(directory, settings) else {
            let (_, key) = Key::generate_pkcs8()?;
            let kept = kept(None, &key, None);
            self.write(&kept)?;
            return Box::pin(self.reopen(kept, settings, http)).await;
        };
        let contact = contact(settings);
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = ExternalAccountKey::new(eab.kid.clone(), &eab.hmac_key);
        let builder = Account::builder_with_http(Box::new(http.clone()));
        let (account, credentials): (_, AccountCredentials) =
            builder.create(&new, directory.to_owned(), Some(&external)).await?;
        let id = Some(account.id().to_owned());
        let fresh = kept(id, credentials.private_key(), Some(eab.kid.clone()));
        self.write(&Kept { contact: settings.email.clone(), ..fresh })?;
        tracing::info!(directory, account = account.id(), "account registered");
        Ok(account)
    }

    /// Once for each address.
    async fn tell_contact(&self, account: Account, kept: Kept, settings: &Acme) -> Result<Account, OpenError> {
        if kept.contact == settings.email {
            return Ok(account);
        }
        let contact = contact(settings);
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        account.update_contacts(&contact).await?;
        tracing::info!(directory = kept.directory, account = account.id(), "account ready");
        self.write(&Kept { contact: settings.email.clone(), ..kept })?;
        Ok(account)
    }
}

fn contact(settings: &Acme) -> Option<String> {
    settings.email.as_ref().map(|email| format!("mailto:{email}"))
}

fn key_of(kept: &Kept) -> Option<PrivatePkcs8KeyDer<'static>> {
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
