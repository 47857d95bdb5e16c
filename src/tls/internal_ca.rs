//! The internal CA: certificates for names that no public CA signs, so that TLS is there from the first minute.
//!
//! Signs for localhost, `.localhost`, `.test`, `.internal` and IP addresses only; its root is name-constrained to them
//! (RFC 5280, 4.2.1.10) and made once, in `state_dir/ca`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use super::files::Loaded;

const LEAF_LIFETIME: Duration = Duration::from_hours(90 * 24);
const ROOT_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);
const ROOT_NAME: &str = "edgectl internal CA";

/// A signing root.
pub struct InternalCa {
    issuer: Issuer<'static, KeyPair>,
    root_pem: String,
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

impl InternalCa {
    /// The root kept in `folder`, or a new one put there (folder 0700, files 0600).
    pub fn open(folder: &Path) -> Result<Self, CaError> {
        let (key_path, root_path) = (folder.join("root.key"), folder.join("root.pem"));
        let io_error = |error| CaError::Io(folder.display().to_string(), error);
        match (fs::read_to_string(&key_path), fs::read_to_string(&root_path)) {
            (Ok(key), Ok(root_pem)) => {
                let key = KeyPair::from_pem(&key)?;
                Ok(Self { issuer: Issuer::new(root_params(), key), root_pem })
            }
            _ => {
                let ca = Self::generate()?;
                crate::state::create_private_dir(folder).map_err(io_error)?;
                write_private(&key_path, &ca.issuer.key().serialize_pem()).map_err(io_error)?;
                write_private(&root_path, &ca.root_pem).map_err(io_error)?;
                Ok(ca)
            }
        }
    }

    /// A root that lives in memory alone.
    pub fn generate() -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let root_pem = root_params().self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(root_params(), key), root_pem })
    }

    /// What to trust.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// A leaf for these names, ECDSA P-256, with a key of its own.
    pub fn sign(&self, names: &[String]) -> Result<Loaded, CaError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        let now = SystemTime::now();
        params.not_before = (now - Duration::from_hours(1)).into();
        params.not_after = (now + LEAF_LIFETIME).into();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("localhost", String::as_str));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let leaf = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let certified = CertifiedKey::from_der(vec![leaf.der().clone()], private, &aws_lc_rs::default_provider())?;
        Ok(Loaded {
            key: Arc::new(certified),
            names: names.to_vec(),
            not_before: now,
            not_after: now + LEAF_LIFETIME,
            issuer: format!("CN={ROOT_NAME}"),
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

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
