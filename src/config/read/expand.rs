//! `${NAME}` and `${NAME:-default}` in strings, replaced from the environment.
//!
//! `$${` is a literal `${`. Any other `$` stands for itself, so that bcrypt hashes and passwords need no escape.
//! An empty variable counts as unset for `:-`, as in a shell. What is put in is not looked at again.

use std::borrow::Cow;

/// What stands in the way of a text with its variables replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unexpandable<'t> {
    Unset {
        name: &'t str,
    },
    /// `${` without a name or its `}`.
    Malformed {
        from: &'t str,
    },
}

pub(super) fn expand<'t>(
    text: &'t str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'t, str>, Unexpandable<'t>> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut done = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            done += before;
            done += "${";
            rest = &rest[at + 2..];
            continue;
        }
        done += &rest[..at];
        let (value, after) = variable(&rest[at..], env)?;
        done += &value;
        rest = after;
    }
    Ok(Cow::Owned(done + rest))
}

/// The value of the variable that `text` starts with, and what follows it.
fn variable<'t>(
    text: &'t str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(Cow<'t, str>, &'t str), Unexpandable<'t>> {
    let malformed = Unexpandable::Malformed { from: text };
    let Some((inner, after)) = text[2..].split_once('}') else {
        return Err(malformed);
    };
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(malformed);
    }
    let value = match (env(name), default) {
        (Some(value), None) => value.into(),
        (Some(value), Some(_)) if !value.is_empty() => value.into(),
        (_, Some(default)) => default.into(),
        (None, None) => return Err(Unexpandable::Unset { name }),
    };
    Ok((value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.com".into()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced() {
        for (text, expanded) in [
            ("www.${HOST}", "www.example.com"),
            ("${HOST}:${PORT:-80}", "example.com:80"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NESTED}", "${HOST}"),
            ("$${HOST}", "${HOST}"),
            ("$2b$12$abc $$", "$2b$12$abc $$"),
        ] {
            assert_eq!(expand(text, &env).unwrap(), expanded, "{text}");
        }
    }

    #[test]
    fn what_is_unset_or_malformed_is_told() {
        assert_eq!(expand("a${NOPE}", &env), Err(Unexpandable::Unset { name: "NOPE" }));
        assert_eq!(expand("${", &env), Err(Unexpandable::Malformed { from: "${" }));
        assert_eq!(expand("${a b}", &env), Err(Unexpandable::Malformed { from: "${a b}" }));
    }
}
