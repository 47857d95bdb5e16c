//! Which methods a route takes. nginx: `limit_except`.

use http::{HeaderValue, Method};

/// What a 405 says where the route takes every method (RFC 9110, 10.2.1): all but CONNECT and TRACE.
pub const ALLOW_ALL: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// A list with at least one method.
#[derive(Debug, Clone)]
pub struct AllowedMethods {
    methods: Vec<Method>,
    allow: HeaderValue,
}

impl AllowedMethods {
    /// `None`: the list is empty, so every method may come. Who may GET may HEAD.
    pub fn of(listed: &[Method]) -> Option<Self> {
        let mut methods = Vec::new();
        for method in listed {
            let with = (*method == Method::GET).then_some(Method::HEAD);
            for method in [Some(method.clone()), with].into_iter().flatten() {
                if !methods.contains(&method) {
                    methods.push(method);
                }
            }
        }
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let allow = HeaderValue::from_str(&names.join(", ")).ok()?;
        (!methods.is_empty()).then_some(Self { methods, allow })
    }

    pub fn has(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    /// Whether all of these are among `others`.
    pub fn is_within(&self, others: &Self) -> bool {
        self.methods.iter().all(|method| others.has(method))
    }

    /// The value of Allow.
    pub fn allow(&self) -> HeaderValue {
        self.allow.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_get_may_head_and_allow_lists_each_once() {
        let methods = AllowedMethods::of(&[Method::GET, Method::POST, Method::HEAD]).unwrap();
        assert_eq!(methods.allow(), "GET, HEAD, POST");
        assert!(methods.has(&Method::HEAD) && !methods.has(&Method::PUT));
        assert!(AllowedMethods::of(&[]).is_none());
        let fewer = AllowedMethods::of(&[Method::POST]).unwrap();
        assert!(fewer.is_within(&methods) && !methods.is_within(&fewer));
    }
}
