//! Signed requests (RFC 8555, 6.2; RFC 7515): which account has signed, and whether the signature is right.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

/// A request taken apart; the signature is not checked yet.
pub struct Signed {
    pub protected: Value,
    /// `Null`: POST-as-GET.
    pub payload: Value,
    input: Vec<u8>,
    signature: Vec<u8>,
}

pub fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

impl Signed {
    pub fn read(body: &[u8]) -> Option<Self> {
        let outer: Value = serde_json::from_slice(body).ok()?;
        let part = |name: &str| outer[name].as_str();
        let (protected, payload) = (part("protected")?, part("payload")?);
        let value = match payload {
            "" => Value::Null,
            text => serde_json::from_slice(&decode(text)?).ok()?,
        };
        Some(Self {
            protected: serde_json::from_slice(&decode(protected)?).ok()?,
            payload: value,
            input: format!("{protected}.{payload}").into_bytes(),
            signature: decode(part("signature")?)?,
        })
    }

    pub fn is_by(&self, jwk: &Value) -> bool {
        let Some((x, y)) = coordinates(jwk) else { return false };
        let point = [&[4][..], &x, &y].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        self.protected["alg"] == "ES256" && key.verify(&self.input, &self.signature).is_ok()
    }
}

fn coordinates(jwk: &Value) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((decode(jwk["x"].as_str()?)?, decode(jwk["y"].as_str()?)?))
}

/// RFC 7638.
pub fn thumbprint(jwk: &Value) -> String {
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

pub fn sha256(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

pub fn sha256_text(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(sha256(text))
}
