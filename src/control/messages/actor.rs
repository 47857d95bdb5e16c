//! The process that asked: as the kernel names it, and as the machine's user list names its user.
//!
//! Names come from `/etc/passwd` of the place where this runs: the daemon's machine or container, or a command's. A directory
//! service (LDAP, sssd) is not asked: it may be slow or away, and the number is what counts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The process on the other end of the admin socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub uid: u32,
    /// The user's name where the daemon runs, at that time; left out when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
}

impl Actor {
    /// Looks the name up: reads a file.
    pub fn new(uid: u32, pid: Option<i32>) -> Self {
        Self { uid, user: user_name(uid), pid }
    }

    /// The daemon itself: the actor of what no one asked for.
    pub fn daemon() -> Self {
        Self::new(rustix::process::getuid().as_raw(), i32::try_from(std::process::id()).ok())
    }
}

/// `deploy (uid 1000, pid 42)`, or `uid 1000 (pid 42)`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, user, pid } = self;
        match (user, pid) {
            (Some(user), Some(pid)) => write!(f, "{user} (uid {uid}, pid {pid})"),
            (Some(user), None) => write!(f, "{user} (uid {uid})"),
            (None, Some(pid)) => write!(f, "uid {uid} (pid {pid})"),
            (None, None) => write!(f, "uid {uid}"),
        }
    }
}

/// The name of a user; `None` when the file can't be read or has no such uid.
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
    use super::*;

    #[test]
    fn a_known_user_has_a_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\n# odd\nalice:x:1000:1000::/home/alice:/bin/sh\nal:x:1000::::\n";
        assert_eq!(name_in(passwd, 1000).as_deref(), Some("alice"));
        assert_eq!(name_in(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_in(passwd, 42), None);
        assert_eq!(name_in("", 0), None);
    }

    #[test]
    fn a_caller_has_a_name_where_there_is_one() {
        let mut actor = Actor { uid: 1000, user: Some("deploy".to_owned()), pid: Some(42) };
        assert_eq!(actor.to_string(), "deploy (uid 1000, pid 42)");
        actor.user = None;
        assert_eq!(actor.to_string(), "uid 1000 (pid 42)");
        assert_eq!(serde_json::to_string(&actor).unwrap(), r#"{"uid":1000,"pid":42}"#);
    }
}
