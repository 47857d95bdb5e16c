//! Names of users, from `/etc/passwd` as it is on this side of the socket.

use std::collections::HashMap;

use crate::control::Actor;

/// Looks names up; a user that is not in the file keeps its number.
#[derive(Debug, Default)]
pub struct Users {
    by_uid: HashMap<u32, String>,
}

impl Users {
    /// Reads the system's file. One that can't be read names nobody.
    pub fn load() -> Self {
        std::fs::read_to_string("/etc/passwd").map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    /// `alice (pid 812)`.
    pub fn show(&self, actor: &Actor) -> String {
        let user = self.by_uid.get(&actor.uid).cloned().unwrap_or_else(|| format!("uid {}", actor.uid));
        actor.pid.map_or(user.clone(), |pid| format!("{user} (pid {pid})"))
    }

    /// passwd(5): name, password, uid, ...; the first line of a uid wins.
    fn parse(text: &str) -> Self {
        let mut by_uid = HashMap::new();
        for line in text.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else { continue };
            if let Ok(uid) = uid.parse() {
                by_uid.entry(uid).or_insert_with(|| name.to_owned());
            }
        }
        Self { by_uid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_user_has_a_name() {
        let users = Users::parse("root:x:0:0:root:/root:/bin/sh\n\n# odd\nalice:x:1000:1000::/home/alice:/bin/sh\n");
        assert_eq!(users.show(&Actor { uid: 1000, pid: Some(7) }), "alice (pid 7)");
        assert_eq!(users.show(&Actor { uid: 42, pid: None }), "uid 42");
    }
}
