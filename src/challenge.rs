//! What an authority looks at while it validates a name: the answers to its challenges.
//!
//! Filled by [`crate::acme`] for as long as a validation runs, read by [`crate::http`] (http-01, RFC 8555, 8.3) and by
//! [`crate::tls`] (tls-alpn-01, RFC 8737). Empty most of the time: a look costs one atomic load.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use rustls::sign::CertifiedKey;

/// Where http-01's answers are.
pub const PATH: &str = "/.well-known/acme-challenge/";

/// The protocol that asks for tls-alpn-01's answer.
pub const ALPN: &[u8] = b"acme-tls/1";

/// The answers that are ready now.
#[derive(Debug, Default)]
pub struct Challenges {
    tokens: ArcSwap<HashMap<Box<str>, Bytes>>,
    certificates: ArcSwap<HashMap<Box<str>, Arc<CertifiedKey>>>,
}

/// Takes its answer back when it is dropped.
#[must_use]
pub struct ChallengeAnswer {
    challenges: Arc<Challenges>,
    kind: AnswerKey,
}

enum AnswerKey {
    Token(Box<str>),
    Name(Box<str>, Arc<CertifiedKey>),
}

impl Challenges {
    /// The key authorization for a request's path: by the token alone, whatever the host.
    pub fn key_authorization(&self, path: &str) -> Option<Bytes> {
        let token = path.strip_prefix(PATH)?;
        self.tokens.load().get(token).cloned()
    }

    /// The certificate that proves a name, in lower case.
    pub fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.certificates.load().get(name).cloned()
    }

    pub fn answer_token(self: &Arc<Self>, token: &str, key_authorization: String) -> ChallengeAnswer {
        let text = Bytes::from(key_authorization);
        self.tokens.rcu(|tokens| with(tokens, token, text.clone()));
        ChallengeAnswer { challenges: self.clone(), kind: AnswerKey::Token(token.into()) }
    }

    pub fn answer_name(self: &Arc<Self>, name: &str, certificate: Arc<CertifiedKey>) -> ChallengeAnswer {
        self.certificates.rcu(|certificates| with(certificates, name, certificate.clone()));
        ChallengeAnswer { challenges: self.clone(), kind: AnswerKey::Name(name.into(), certificate) }
    }

    /// The same, unless the name is being validated: a client that only looks never stands in an authority's way.
    pub fn try_answer_name(self: &Arc<Self>, name: &str, certificate: Arc<CertifiedKey>) -> Option<ChallengeAnswer> {
        let before = self.certificates.rcu(|all| match all.contains_key(name) {
            true => HashMap::clone(all),
            false => with(all, name, certificate.clone()),
        });
        let is_free = !before.contains_key(name);
        is_free.then(|| ChallengeAnswer { challenges: self.clone(), kind: AnswerKey::Name(name.into(), certificate) })
    }
}

impl ChallengeAnswer {
    /// Whether it is still what a name is answered with: an answer to an authority takes the place of any other.
    pub fn is_shown(&self) -> bool {
        match &self.kind {
            AnswerKey::Token(token) => self.challenges.tokens.load().contains_key(token),
            AnswerKey::Name(name, mine) => {
                self.challenges.certificates.load().get(name).is_some_and(|now| Arc::ptr_eq(now, mine))
            }
        }
    }
}

impl Drop for ChallengeAnswer {
    fn drop(&mut self) {
        match &self.kind {
            AnswerKey::Token(token) => drop(self.challenges.tokens.rcu(|tokens| without(tokens, token))),
            // Another may have taken its place.
            AnswerKey::Name(name, certificate) => drop(self.challenges.certificates.rcu(|all| match all.get(name) {
                Some(now) if Arc::ptr_eq(now, certificate) => without(all, name),
                _ => HashMap::clone(all),
            })),
        }
    }
}

fn with<T: Clone>(map: &HashMap<Box<str>, T>, key: &str, value: T) -> HashMap<Box<str>, T> {
    let mut map = map.clone();
    map.insert(key.into(), value);
    map
}

fn without<T: Clone>(map: &HashMap<Box<str>, T>, key: &str) -> HashMap<Box<str>, T> {
    let mut map = map.clone();
    map.remove(key);
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_there_until_it_is_dropped() {
        let challenges = Arc::new(Challenges::default());
        let answer = challenges.answer_token("abc", "abc.thumb".to_owned());
        assert_eq!(challenges.key_authorization("/.well-known/acme-challenge/abc").unwrap(), "abc.thumb");
        for other in ["/.well-known/acme-challenge/ab", "/.well-known/acme-challenge/", "/abc", "abc"] {
            assert!(challenges.key_authorization(other).is_none(), "{other}");
        }
        drop(answer);
        assert!(challenges.key_authorization("/.well-known/acme-challenge/abc").is_none());
    }

    fn certificate() -> Arc<CertifiedKey> {
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let private = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).unwrap();
        Arc::new(CertifiedKey::new(vec![leaf.der().clone()], signer))
    }

    #[test]
    fn an_answer_for_a_look_gives_way_to_a_validation() {
        let challenges = Arc::new(Challenges::default());
        let is = |certificate: &Arc<CertifiedKey>| {
            challenges.certificate("a.test").is_some_and(|now| Arc::ptr_eq(&now, certificate))
        };
        let (looks, proves) = (certificate(), certificate());
        let look = challenges.try_answer_name("a.test", looks.clone()).unwrap();
        assert!(look.is_shown() && is(&looks));
        let proof = challenges.answer_name("a.test", proves.clone());
        assert!(!look.is_shown() && is(&proves));
        drop(look);
        assert!(is(&proves), "the validation's stays");
        assert!(challenges.try_answer_name("a.test", looks).is_none());
        drop(proof);
        assert!(challenges.certificate("a.test").is_none());
    }
}
