//! What a log must not show: values of query parameters that look like secrets become `***`.
//!
//! By the parameter's name, whatever its case and percent-encoding: one that contains `token`, `passw`, `secret`,
//! `signature`, `credential`, `apikey`, `authoriz` or `session`, ends in `key`, `sig`, `pwd`, `jwt`, `auth`, `code`, `sid`, `otp` or
//! `pass`, or is our own `edge_preview`. Too much masked is a nuisance, too little a leak. Never changes what is sent on, only
//! what is written.

/// Hands the masked text on in parts.
pub(super) type Mask = fn(&[u8], &mut dyn FnMut(&[u8]));

/// Longer names are cut for the comparison and taken for secrets: honest names are shorter.
const LONGEST_NAME: usize = 64;

/// A query, without its `?`.
pub(super) fn query(query: &[u8], emit: &mut dyn FnMut(&[u8])) {
    if !query.contains(&b'=') {
        return emit(query);
    }
    for parameter in query.split_inclusive(|&byte| byte == b'&') {
        match secret_at(parameter) {
            Some(value) => {
                emit(&parameter[..value]);
                emit(if parameter.ends_with(b"&") { b"***&" } else { b"***" });
            }
            None => emit(parameter),
        }
    }
}

/// Where a secret value begins. To some parsers `;` ends a parameter, to others it belongs to the value: a name after
/// it counts, a value reaches over it.
fn secret_at(parameter: &[u8]) -> Option<usize> {
    let mut start = 0;
    for part in parameter.split_inclusive(|&byte| byte == b';') {
        let equals = part.iter().position(|&byte| byte == b'=');
        if let Some(equals) = equals.filter(|&equals| is_secret(&part[..equals])) {
            return Some(start + equals + 1);
        }
        start += part.len();
    }
    None
}

/// A URL: what follows its `?`, and a fragment's parameters too.
pub(super) fn url(url: &[u8], emit: &mut dyn FnMut(&[u8])) {
    match url.iter().position(|&byte| byte == b'?' || byte == b'#') {
        Some(mark) => {
            emit(&url[..=mark]);
            query(&url[mark + 1..], emit);
        }
        None => emit(url),
    }
}

fn is_secret(name: &[u8]) -> bool {
    const PARTS: [&[u8]; 9] = [
        b"token",
        b"passw",
        b"secret",
        b"signature",
        b"credential",
        b"apikey",
        b"authoriz",
        b"session",
        b"edgepreview",
    ];
    const ENDS: [&[u8]; 9] = [b"key", b"sig", b"pwd", b"jwt", b"auth", b"code", b"sid", b"otp", b"pass"];
    let mut buffer = [0; LONGEST_NAME];
    let Some(name) = plain(name, &mut buffer) else {
        return true;
    };
    ENDS.iter().any(|end| name.ends_with(end))
        || PARTS.iter().any(|part| name.windows(part.len()).any(|window| window == *part))
}

/// Lower-case letters and digits of a percent-decoded name: `X-Api%4Bey` is `xapikey`.
fn plain<'b>(name: &[u8], buffer: &'b mut [u8; LONGEST_NAME]) -> Option<&'b [u8]> {
    let mut length = 0;
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = decoded(first, after);
        rest = after;
        if byte.is_ascii_alphanumeric() {
            *buffer.get_mut(length)? = byte.to_ascii_lowercase();
            length += 1;
        }
    }
    buffer.get(..length)
}

fn decoded(first: u8, after: &[u8]) -> (u8, &[u8]) {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match (first, after) {
        (b'%', [high, low, rest @ ..]) => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => ((high * 16 + low) as u8, rest),
            _ => (first, after),
        },
        _ => (first, after),
    }
}

#[cfg(test)]
mod tests {
    fn query(text: &str) -> String {
        let mut out = Vec::new();
        super::query(text.as_bytes(), &mut |part| out.extend_from_slice(part));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_of_secrets_are_masked() {
        for (sent, logged) in [
            ("a=1&token=abc&b=2", "a=1&token=***&b=2"),
            ("TOKEN=abc", "TOKEN=***"),
            ("access_token=ab;c&x=1", "access_token=***&x=1"),
            ("x=1;token=abc", "x=1;token=***"),
            ("%74oken=abc", "%74oken=***"),
            ("to%6Ben=a=b", "to%6Ben=***"),
            ("user[password]=x", "user[password]=***"),
            ("key=1&api_key=2&api-key=3&X-Amz-Signature=4", "key=***&api_key=***&api-key=***&X-Amz-Signature=***"),
            ("client_secret=", "client_secret=***"),
            ("edge_preview=green.1.a&x=1", "edge_preview=***&x=1"),
            ("auth=1&Authorization=2&code=3", "auth=***&Authorization=***&code=***"),
            ("session=1&session_id=2&sid=3&connect.sid=4", "session=***&session_id=***&sid=***&connect.sid=***"),
            ("otp=1&pass=2&X-Auth=3&PHPSESSID=4", "otp=***&pass=***&X-Auth=***&PHPSESSID=***"),
            ("user%5Bpass%5D=x&auth_code=y", "user%5Bpass%5D=***&auth_code=***"),
            (
                "author=x&keyword=tea&page=2&codec=opus&passenger=3",
                "author=x&keyword=tea&page=2&codec=opus&passenger=3",
            ),
            ("token", "token"),
            ("", ""),
        ] {
            assert_eq!(query(sent), logged);
        }
    }

    #[test]
    fn a_name_too_long_to_judge_is_a_secret() {
        assert_eq!(query(&format!("{}=1", "a".repeat(65))), format!("{}=***", "a".repeat(65)));
    }

    #[test]
    fn a_referer_hides_its_secrets_too() {
        let mut out = Vec::new();
        super::url(b"https://example.com/reset?token=abc&x=1", &mut |part| out.extend_from_slice(part));
        assert_eq!(out, b"https://example.com/reset?token=***&x=1");
    }
}
