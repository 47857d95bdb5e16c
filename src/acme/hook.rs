//! The program that sets a record for dns-01: `HOOK present|cleanup FQDN VALUE`, run without a shell, bounded in time.
//!
//! It exits 0 once the record can be seen by the authority; anything else fails the attempt, with what it wrote to stderr.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::failure::one_line;

/// DNS takes its time; a hook that waits for its name servers may too.
const PATIENCE: Duration = Duration::from_mins(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Present,
    Cleanup,
}

/// Runs it to its end; ends it when it is dropped, or takes longer than [`PATIENCE`].
pub async fn run(program: &Path, verb: Verb, fqdn: &str, value: &str) -> Result<(), String> {
    let verb = match verb {
        Verb::Present => "present",
        Verb::Cleanup => "cleanup",
    };
    let told = |why: String| format!("dns_hook {} {verb} {fqdn}: {why}", program.display());
    let mut command = Command::new(program);
    command.args([verb, fqdn, value]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().map_err(|e| told(e.to_string()))?;
    let stderr = child.stderr.take();
    let run = async {
        let (status, said) = tokio::join!(child.wait(), read(stderr));
        status.map(|status| (status, said))
    };
    match tokio::time::timeout(PATIENCE, run).await {
        Err(_) => Err(told(format!("did not end within {PATIENCE:?}"))),
        Ok(Err(error)) => Err(told(error.to_string())),
        Ok(Ok((status, _))) if status.success() => Ok(()),
        Ok(Ok((status, said))) if said.is_empty() => Err(told(status.to_string())),
        Ok(Ok((status, said))) => Err(told(format!("{status}: {said}"))),
    }
}

/// The beginning of it; the rest is read too, so that nobody blocks on a full pipe.
async fn read(stderr: Option<tokio::process::ChildStderr>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut said = Vec::new();
    let _ = (&mut stderr).take(4096).read_to_end(&mut said).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    one_line(&String::from_utf8_lossy(&said))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn what_a_hook_says_is_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("hook");
        std::fs::write(
            &hook,
            "#!/bin/sh\n[ \"$1 $2 $3\" = 'present a.b v;$(x)' ] && exit 0\necho no zone >&2\nexit 3\n",
        )
        .unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(run(&hook, Verb::Present, "a.b", "v;$(x)").await, Ok(()));
        let error = run(&hook, Verb::Cleanup, "a.b", "v").await.unwrap_err();
        assert!(error.contains("cleanup a.b") && error.contains("no zone") && error.contains('3'), "{error}");
        let error = run(&folder.path().join("none"), Verb::Present, "a", "b").await.unwrap_err();
        assert!(error.contains("No such file"), "{error}");
    }
}
