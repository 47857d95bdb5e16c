//! Names of users, from `/etc/passwd` as it is where this runs: the daemon's machine or container, or a command's.
//!
//! A directory (LDAP, sssd) is not asked: it may be slow or away, and the number is what counts.

/// The name of a user; `None` when the file can't be read or has none.
pub fn user_name(uid: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    name_in(&passwd, uid)
}

/// passwd(5): name, password, uid, ...; the first line of a uid wins.
fn name_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, of) = (fields.next()?, fields.nth(1)?);
        (of.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::name_in;

    #[test]
    fn a_known_user_has_a_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\n# odd\nalice:x:1000:1000::/home/alice:/bin/sh\nal:x:1000::::\n";
        assert_eq!(name_in(passwd, 1000).as_deref(), Some("alice"));
        assert_eq!(name_in(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_in(passwd, 42), None);
        assert_eq!(name_in("", 0), None);
    }
}
