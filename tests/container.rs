//! What a container takes away, a user of its own or a root that can't be written, is said with what to do about it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use crate::support::edge::{Ran, run};
use crate::support::{Identity, Setup, is_there};

/// Where permissions count even for root.
const WITHOUT_OVERRIDE: [&str; 3] = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"];

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The daemon's program under another, until it ends by itself.
fn run_under(words: &[&str], arguments: &[&str]) -> Ran {
    let all = [words, &[env!("CARGO_BIN_EXE_edgectl")], arguments].concat();
    run(Command::new(all[0]).args(&all[1..]))
}

#[test]
fn a_file_that_may_not_be_read_is_reported_with_its_owner_its_mode_and_the_daemons_user() {
    if is_root() && !is_there("setpriv") {
        return;
    }
    let setup = Setup::pool(&["127.0.0.1:1"]);
    let (cert, key) = (setup.path("one.pem"), setup.path("one.key"));
    Identity::for_names(&["app.test"]).write(&cert, &key);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o000)).unwrap();
    let setup = setup.and(&format!("[[tls.certificate]]\ncert = {cert:?}\nkey = {key:?}"));
    let config = setup.path("edge.toml");
    fs::write(&config, setup.text()).unwrap();
    let (under, owner): (&[&str], _) = if is_root() { (&WITHOUT_OVERRIDE, 1234) } else { (&[], 0) };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if is_root() {
        chown(&key, Some(owner), Some(owner)).unwrap();
    }
    let ran = run_under(under, &["check", config.to_str().unwrap()]);
    let told = ran.stdout + &ran.stderr;
    let (of_uid, of_gid) = if is_root() { (owner, owner) } else { (uid, gid) };
    let whose =
        format!("belongs to uid {of_uid}, gid {of_gid} with mode 0000, and this process runs as uid {uid}, gid {gid}");
    assert!(told.contains("one.key") && told.contains(&whose), "{told}");
    // A folder on the way is as good a reason.
    let folder = setup.path("secrets");
    fs::create_dir(&folder).unwrap();
    fs::rename(&config, folder.join("edge.toml")).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = run_under(under, &["check", folder.join("edge.toml").to_str().unwrap()]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let told = ran.stdout + &ran.stderr;
    assert!(told.contains(&format!("its folder {} belongs to uid {uid}", folder.display())), "{told}");
}

#[test]
fn a_root_that_can_not_be_written_is_reported_with_the_tmpfs_that_helps() {
    if !is_root() || !is_there("unshare") {
        return;
    }
    let setup = Setup::pool(&["127.0.0.1:1"]);
    let run = setup.path("run");
    fs::create_dir(&run).unwrap();
    let admin = format!("admin = {:?}", run.join("admin.sock"));
    let setup = setup.server(&admin);
    let config = setup.path("edge.toml");
    fs::write(&config, setup.text()).unwrap();
    let script = format!("mount -t tmpfs -o ro none {} && exec \"$0\" \"$@\"", run.display());
    let ran = run_under(&["unshare", "-m", "sh", "-c", &script], &["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let advice = format!("tmpfs: [\"{}:uid=0,gid=0,mode=0750\"]", run.display());
    assert!(ran.stderr.contains("read-only root") && ran.stderr.contains(&advice), "{}", ran.stderr);
}
