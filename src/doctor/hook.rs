//! The program for dns-01: whether it is there, and may be run by this process. It is not run.

use std::fs;
use std::path::Path;

use rustix::fs::{Access, access};

use super::finding::{Check, Finding, Mark};

/// `is_alone`: there is no other challenge to fall back on.
pub fn judge(program: &Path, is_alone: bool) -> Finding {
    let bad = if is_alone { Mark::Fail } else { Mark::Warn };
    let finding =
        |mark, found: String| Finding::new(Check::Hook, mark, format!("dns_hook {}", program.display()), found);
    let advice = match fs::metadata(program) {
        Err(error) => {
            return finding(bad, error.to_string()).advise("see acme.dns_hook; in a container, the path inside of it");
        }
        Ok(found) if !found.is_file() => return finding(bad, "is no file".to_owned()).advise("see acme.dns_hook"),
        Ok(_) => "chmod +x it; see who owns it, and whether its file system is mounted noexec",
    };
    match access(program, Access::EXEC_OK) {
        Ok(()) => finding(Mark::Ok, "is there, and may be run".to_owned()),
        Err(error) => finding(bad, format!("may not be run: {error}")).advise(advice),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_is_there_and_may_be_run() {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("hook");
        let mark = |path: &Path| judge(path, true).mark;
        assert_eq!((mark(&hook), judge(&hook, false).mark), (Mark::Fail, Mark::Warn), "it is not there");
        fs::write(&hook, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(mark(&hook), Mark::Fail);
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(mark(&hook), Mark::Ok);
        assert_eq!(mark(folder.path()), Mark::Fail, "a folder");
    }
}
