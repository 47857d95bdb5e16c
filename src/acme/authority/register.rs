//! A new account for a key that is on disk already (RFC 8555, 7.3), its external binding with it (7.3.4).
//!
//! The library would make the key of a bound account itself, and a crash right after the authority's answer would lose it; a
//! second account would follow. Asked again with the same key, an authority returns the account that it has.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{Method, Request, header};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::AuthorityHttp;
use crate::config::ExternalAccount;

/// Nonces that an authority may refuse in a row.
const NONCES: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DirectoryUrls {
    new_nonce: String,
    new_account: String,
}

/// The account's URL.
pub async fn register(
    http: &AuthorityHttp,
    directory: &str,
    key: &PrivatePkcs8KeyDer<'_>,
    contact: Option<&str>,
    binding: Option<&ExternalAccount>,
) -> Result<String, Error> {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der());
    let key = key.map_err(|_| Error::KeyRejected)?;
    let found = send(http, Method::GET, directory, None).await?;
    let DirectoryUrls { new_nonce, new_account } = serde_json::from_slice(&body(found).await?)?;
    let jwk = jwk(&key);
    let mut payload = json!({ "termsOfServiceAgreed": true });
    if let Some(contact) = contact {
        payload["contact"] = json!([contact]);
    }
    if let Some(eab) = binding {
        payload["externalAccountBinding"] = bound(eab, &jwk, &new_account);
    }
    let mut tries = 0;
    loop {
        let nonce = send(http, Method::HEAD, &new_nonce, None).await?;
        let nonce = field(&nonce, "replay-nonce").ok_or(Error::Str("the authority gives no nonce"))?;
        let protected = json!({ "alg": "ES256", "jwk": jwk, "nonce": nonce, "url": new_account });
        let signed = signed(&protected, &payload, |input| {
            key.sign(&SystemRandom::new(), input)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| Error::Crypto)
        })?;
        let answer = send(http, Method::POST, &new_account, Some(&signed)).await?;
        if answer.parts.status.is_success() {
            return field(&answer, "location").ok_or(Error::Str("the authority names no account"));
        }
        let problem: Problem = serde_json::from_slice(&body(answer).await?)?;
        tries += 1;
        let is_stale = problem.r#type.as_deref().is_some_and(|kind| kind.ends_with(":badNonce"));
        if !is_stale || tries == NONCES {
            return Err(Error::Api(problem));
        }
    }
}

async fn send(http: &AuthorityHttp, method: Method, url: &str, body: Option<&Value>) -> Result<BytesResponse, Error> {
    let request = Request::builder().method(method).uri(url);
    let request = match body {
        Some(body) => request
            .header(header::CONTENT_TYPE, "application/jose+json")
            .body(BodyWrapper::from(serde_json::to_vec(body)?))?,
        None => request.body(BodyWrapper::default())?,
    };
    http.request(request).await
}

async fn body(mut answer: BytesResponse) -> Result<Vec<u8>, Error> {
    answer.body.into_bytes().await.map(|bytes| bytes.to_vec()).map_err(Error::Other)
}

fn field(answer: &BytesResponse, name: &str) -> Option<String> {
    answer.parts.headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// RFC 7517; the fields of RFC 7638 alone.
fn jwk(key: &EcdsaKeyPair) -> Value {
    // 4, x, y: 65 bytes.
    let point = key.public_key().as_ref();
    let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
    json!({ "crv": "P-256", "kty": "EC", "x": encoded(x), "y": encoded(y) })
}

/// The account's key, signed with the secret that the authority has handed out.
fn bound(eab: &ExternalAccount, jwk: &Value, url: &str) -> Value {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &eab.hmac_key);
    let protected = json!({ "alg": "HS256", "kid": eab.kid, "url": url });
    let sign = |input: &[u8]| Ok(hmac::sign(&secret, input).as_ref().to_vec());
    signed(&protected, jwk, sign).unwrap_or_default()
}

/// RFC 7515, flattened.
fn signed(
    protected: &Value,
    payload: &Value,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Value, Error> {
    let (protected, payload) = (encoded(protected.to_string()), encoded(payload.to_string()));
    let signature = sign(format!("{protected}.{payload}").as_bytes())?;
    Ok(json!({ "protected": protected, "payload": payload, "signature": encoded(signature) }))
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
