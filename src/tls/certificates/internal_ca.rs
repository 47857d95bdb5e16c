//! The internal CA: certificates for names that no public CA signs, so that TLS is there from the first minute.
//!
//! Signs for localhost, `.localhost`, `.test`, `.internal` and IP addresses only; its root is name-constrained to them
//! (RFC 5280, 4.2.1.10) and made once, in `state_dir/ca`: a machine that trusts it trusts it for nothing else. Leafs live for
//! a week.
//!
//! A root that is there and can still sign is kept, even one without constraints, because machines trust it already; the log
//! says so. A root that can't sign any more is set aside, and a new one is made.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::LoadedCertificate;
use super::key_type::KeyType;
use crate::state::{create_private_dir, set_aside, write_durably};
use crate::tls::digest::{hex, sha256};
use crate::tls::name::rfc4514;

/// Renewed at half of it, by the daemon itself.
pub const LEAF_LIFETIME: Duration = Duration::from_hours(7 * 24);
const ROOT_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);
const ROOT_NAME: &str = "edgectl internal CA";

/// A signing root.
pub struct InternalCa {
    issuer: Issuer<'static, KeyPair>,
    root_pem: String,
    /// For local names alone.
    constrained: bool,
}

/// The root, for machines that are to trust it.
#[derive(Debug, Clone)]
pub struct Root {
    pub pem: String,
    /// Of the certificate (DER), as trust stores show it: upper case, with colons.
    pub sha256: String,
    /// Since 1970.
    pub not_after: Option<Duration>,
    /// For local names alone.
    pub constrained: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("the internal CA in {0}: {1}")]
    Io(String, io::Error),
    #[error("the internal CA: {0}")]
    Sign(#[from] rcgen::Error),
    #[error("the internal CA: {0}")]
    Key(#[from] rustls::Error),
}

/// Why a root can't sign any more.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("root.pem or root.key is missing")]
    Half,
    #[error("root.pem can't be parsed")]
    Parse,
    #[error("root.key can't be used: {0}")]
    Key(rcgen::Error),
    #[error("root.key does not belong to root.pem")]
    Mismatch,
    #[error("root.pem was not made by edgectl: its name is {0:?}")]
    Foreign(String),
    #[error("root.pem has expired")]
    Expired,
}

impl InternalCa {
    /// The root kept in `folder`, or a new one put there (folder 0700, files 0600).
    pub fn open(folder: &Path) -> Result<Self, CaError> {
        let (key_path, root_path) = (folder.join("root.key"), folder.join("root.pem"));
        let io_error = |error| CaError::Io(folder.display().to_string(), error);
        let read = |path: &Path| match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(String::new())),
            Err(error) => Err(io_error(error)),
        };
        let unfit = match (read(&key_path)?, read(&root_path)?) {
            (Some(key), Some(root)) => match Self::adopt(&key, root, SystemTime::now()) {
                Ok(ca) => {
                    ca.warn_if_unconstrained(folder);
                    return Ok(ca);
                }
                Err(unfit) => Some(unfit),
            },
            (None, None) => None,
            _ => Some(Unfit::Half),
        };
        if let Some(why) = unfit {
            let aside: Vec<_> = [&key_path, &root_path].into_iter().filter_map(|path| set_aside(path).ok()).collect();
            tracing::error!(
                %why,
                ?aside,
                "THE INTERNAL CA WAS REPLACED: whoever trusted the old root has to trust the new one; see `edgectl certs ca`"
            );
        }
        let ca = Self::generate()?;
        create_private_dir(folder).map_err(io_error)?;
        write_durably(&key_path, ca.issuer.key().serialize_pem().as_bytes()).map_err(io_error)?;
        write_durably(&root_path, ca.root_pem.as_bytes()).map_err(io_error)?;
        Ok(ca)
    }

    /// A root that is there already, if it can sign.
    fn adopt(key: &str, root_pem: String, now: SystemTime) -> Result<Self, Unfit> {
        let key = KeyPair::from_pem(key).map_err(Unfit::Key)?;
        let der = CertificateDer::from_pem_slice(root_pem.as_bytes()).map_err(|_| Unfit::Parse)?;
        let (_, root) = X509Certificate::from_der(&der).map_err(|_| Unfit::Parse)?;
        if root.public_key().raw != key.subject_public_key_info() {
            return Err(Unfit::Mismatch);
        }
        let name = rfc4514(root.subject());
        if name != format!("CN={ROOT_NAME}") {
            return Err(Unfit::Foreign(name));
        }
        let seconds = u64::try_from(root.validity().not_after.timestamp()).unwrap_or_default();
        if SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) <= now + LEAF_LIFETIME {
            return Err(Unfit::Expired);
        }
        let constrained = matches!(root.name_constraints(), Ok(Some(_)));
        Ok(Self { issuer: Issuer::new(root_params(), key), root_pem, constrained })
    }

    fn warn_if_unconstrained(&self, folder: &Path) {
        if !self.constrained {
            tracing::warn!(
                folder = %folder.display(),
                "the root of the internal CA may sign for ANY name; it is kept because machines trust it. To replace it by \
                 one for local names alone, delete the folder, restart, and trust the new one (`edgectl certs ca`)"
            );
        }
    }

    /// A root that lives in memory alone.
    pub fn generate() -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let root_pem = root_params().self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(root_params(), key), root_pem, constrained: true })
    }

    /// What to trust.
    pub fn root(&self) -> Root {
        let der = CertificateDer::from_pem_slice(self.root_pem.as_bytes()).unwrap_or_else(|_| Vec::new().into());
        let not_after = X509Certificate::from_der(&der).ok().map(|(_, root)| root.validity().not_after.timestamp());
        let sha256 = hex(&sha256(&der)).to_uppercase();
        let pairs: Vec<_> = sha256.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
        Root {
            pem: self.root_pem.clone(),
            sha256: pairs.join(":"),
            not_after: not_after.and_then(|at| u64::try_from(at).ok()).map(Duration::from_secs),
            constrained: self.constrained,
        }
    }

    /// A leaf for these names, ECDSA P-256, with a key of its own.
    pub fn sign(&self, names: &[String]) -> Result<LoadedCertificate, CaError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        let now = SystemTime::now();
        let not_before = now - Duration::from_hours(1);
        params.not_before = not_before.into();
        params.not_after = (now + LEAF_LIFETIME).into();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("localhost", String::as_str));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let certified = CertifiedKey::from_der(vec![leaf.der().clone()], private, &default_provider())?;
        Ok(LoadedCertificate {
            key_type: KeyType::of(&*certified.key),
            key: Arc::new(certified),
            names: names.to_vec(),
            not_before,
            not_after: now + LEAF_LIFETIME,
            issuer: format!("CN={ROOT_NAME}"),
            warnings: Vec::new(),
            must_staple: false,
        })
    }
}

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, ROOT_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let dns = ["localhost", "test", "internal"].map(|name| GeneralSubtree::DnsName(name.into()));
    let ips = [
        GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
        GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
    ];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: dns.into_iter().chain(ips).collect(),
        excluded_subtrees: Vec::new(),
    });
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_hours(1)).into();
    params.not_after = (now + ROOT_LIFETIME).into();
    params
}
