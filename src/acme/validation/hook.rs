//! The program that sets a record for dns-01: `HOOK present|cleanup FQDN VALUE`, run without a shell, bounded in time.
//!
//! It exits 0 once the record can be seen by the authority; anything else fails the attempt, with what it wrote to stderr.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, Command};
use tokio::sync::oneshot;

use crate::acme::text::one_line;

/// DNS takes its time; a hook that waits for its name servers may too.
const PATIENCE: Duration = Duration::from_mins(5);

/// For the rest of what it wrote, once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookVerb {
    Present,
    Cleanup,
}

/// Runs the hook to its end. When this is dropped, or takes longer than [`PATIENCE`], the hook and what it has started are killed.
/// What a hook leaves running after it has ended by itself is left alone.
pub async fn run(program: &Path, verb: HookVerb, fqdn: &str, value: &str) -> Result<(), String> {
    let verb = match verb {
        HookVerb::Present => "present",
        HookVerb::Cleanup => "cleanup",
    };
    let told = |why: String| format!("dns_hook {} {verb} {fqdn}: {why}", program.display());
    let mut command = Command::new(program);
    command.args([verb, fqdn, value]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(|e| told(e.to_string()))?;
    let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let stderr = child.stderr.take();
    let (ended, end) = oneshot::channel::<()>();
    let wait = async {
        let status = child.wait().await;
        drop(ended);
        status
    };
    match tokio::time::timeout(PATIENCE, async { tokio::join!(wait, listen(stderr, end)) }).await {
        Err(_) => Err(told(format!("did not end within {PATIENCE:?}"))),
        Ok((status, said)) => {
            group.0 = None;
            match status {
                Err(error) => Err(told(error.to_string())),
                Ok(status) if status.success() => Ok(()),
                Ok(status) if said.is_empty() => Err(told(status.to_string())),
                Ok(status) => Err(told(format!("{status}: {said}"))),
            }
        }
    }
}

/// Takes records back: name and value. One that can't be taken back is logged and left.
pub async fn take_back(program: &Path, records: &[(String, String)]) {
    for (fqdn, value) in records {
        if let Err(error) = run(program, HookVerb::Cleanup, fqdn, value).await {
            tracing::warn!(error, "a record is left behind");
        }
    }
}

/// A program and what it has started; killed together unless they have ended by themselves. It must be dropped before the child
/// is waited for: until then no other process can have the number.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// What it writes to stderr until it has ended. Processes that it leaves running may hold stderr open for longer.
async fn listen(stderr: Option<ChildStderr>, end: oneshot::Receiver<()>) -> String {
    let Some(stderr) = stderr else { return String::new() };
    let mut said = Vec::new();
    let last_words = async {
        let _ = end.await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! { () = read(stderr, &mut said) => {}, () = last_words => {} }
    one_line(&String::from_utf8_lossy(&said))
}

/// Keeps the beginning. The rest is read too, so that the hook does not block on a full pipe.
async fn read(mut stderr: ChildStderr, said: &mut Vec<u8>) {
    let _ = (&mut stderr).take(4096).read_to_end(said).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::time::Instant;

    use super::*;

    fn script(folder: &Path, text: &str) -> PathBuf {
        let hook = folder.join("hook");
        std::fs::write(&hook, format!("#!/bin/sh\n{text}")).unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o700)).unwrap();
        hook
    }

    #[tokio::test]
    async fn what_a_hook_says_is_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let hook =
            script(folder.path(), "[ \"$1 $2 $3\" = 'present a.b v;$(x)' ] && exit 0\necho no zone >&2\nexit 3\n");
        assert_eq!(run(&hook, HookVerb::Present, "a.b", "v;$(x)").await, Ok(()));
        let error = run(&hook, HookVerb::Cleanup, "a.b", "v").await.unwrap_err();
        assert!(error.contains("cleanup a.b") && error.contains("no zone") && error.contains('3'), "{error}");
        let error = run(&folder.path().join("none"), HookVerb::Present, "a", "b").await.unwrap_err();
        assert!(error.contains("No such file"), "{error}");
    }

    #[tokio::test]
    async fn what_a_hook_leaves_running_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(folder.path(), "sleep 30 &\necho $! >\"$0.pid\"\necho half a word >&2\n[ $1 = present ]\n");
        let begun = Instant::now();
        assert_eq!(run(&hook, HookVerb::Present, "a.b", "v").await, Ok(()));
        let error = run(&hook, HookVerb::Cleanup, "a.b", "v").await.unwrap_err();
        assert!(error.contains("half a word"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_hook_that_is_given_up_ends_with_what_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(folder.path(), "sleep 60 &\necho $! >\"$0.tmp\"\nmv \"$0.tmp\" \"$0.pid\"\nwait\n");
        let started = async {
            loop {
                match std::fs::read_to_string(folder.path().join("hook.pid")) {
                    Ok(pid) => break pid.trim().to_owned(),
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let pid = tokio::select! {
            ended = run(&hook, HookVerb::Present, "a.b", "v") => panic!("{ended:?}"),
            pid = started => pid,
        };
        // It is a zombie until its new parent waits for it.
        let is_running = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
        };
        let until = Instant::now() + Duration::from_secs(20);
        while is_running() {
            assert!(Instant::now() < until, "{pid} runs on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
