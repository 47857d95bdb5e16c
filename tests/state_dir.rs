//! What the daemon keeps is its own: others can neither read it nor put something in its place.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::{Edge, Origin, Setup, colors, is_there};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Ends the daemon and starts it again on the same files, after `change`.
fn start_again_after(edge: &mut Edge, change: impl FnOnce(&Edge)) {
    edge.terminate();
    edge.wait();
    change(edge);
    edge.start_again();
}

#[test]
fn lax_modes_are_mended_at_the_start_and_said() {
    let (blue, green) = colors();
    let mut edge = Setup::colors(&blue, &green).start();
    edge.admin(&["switch", "green"]).ok();
    let files =
        ["state", "state/ca", "state/state.json", "state/token.key", "state/history.jsonl", "state/ca/root.key"];
    start_again_after(&mut edge, |edge| files.iter().for_each(|name| set_mode(&edge.path(name), 0o777)));
    for (name, private) in files.iter().zip([0o700, 0o700, 0o600, 0o600, 0o600, 0o600]) {
        assert_eq!(mode(&edge.path(name)), private, "{name}");
    }
    edge.said("was open to other users of the machine and is private now");
    assert_eq!(edge.get("/").text(), "green");
}

#[test]
fn a_folder_that_others_use_too_is_warned_of_and_left_to_them() {
    let origin = Origin::start("blue");
    let mut edge = Setup::to(&origin).start();
    start_again_after(&mut edge, |edge| {
        fs::write(edge.path("state/notes.txt"), "of another program").unwrap();
        set_mode(&edge.path("state"), 0o755);
        set_mode(&edge.path("state/notes.txt"), 0o644);
        set_mode(&edge.path("state/token.key"), 0o644);
    });
    edge.said("other users of the machine can read or change it");
    edge.said("notes.txt is in it");
    assert_eq!((mode(&edge.path("state")), mode(&edge.path("state/notes.txt"))), (0o755, 0o644));
    assert_eq!(mode(&edge.path("state/token.key")), 0o600, "what is ours is private all the same");
}

#[test]
fn a_link_in_the_place_of_a_temporary_file_is_not_followed() {
    let (blue, green) = colors();
    let edge = Setup::colors(&blue, &green).start();
    let precious = edge.path("precious");
    fs::write(&precious, "text").unwrap();
    symlink(&precious, edge.path("state/state.tmp")).unwrap();
    edge.admin(&["switch", "green"]).ok();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "text");
    assert!(!edge.path("state/state.json").is_symlink());
}

#[test]
fn the_admin_socket_has_its_mode_before_it_listens() {
    if !is_there("strace") {
        return;
    }
    let origin = Origin::start("blue");
    let mut edge = Setup::to(&origin).start();
    edge.terminate();
    edge.wait();
    let trace = edge.path("trace");
    let out = trace.display().to_string();
    // Whatever the umask is.
    let script = format!("umask 000; exec strace -D -qq -o {out} -e trace=bind,listen,chmod,fchmod,fchmodat \"$@\"");
    edge.start_again_under(&["sh", "-c", &script, "sh"]);
    assert_eq!(mode(&edge.path("admin.sock")), 0o660);
    let calls = fs::read_to_string(&trace).unwrap();
    let at = |what: &[&str]| {
        let found = calls.lines().position(|line| what.iter().all(|word| line.contains(word)));
        found.unwrap_or_else(|| panic!("no {what:?} in {calls}"))
    };
    let bound = at(&["bind(", "admin.sock"]);
    let socket = calls.lines().nth(bound).unwrap();
    let descriptor = socket.split(['(', ',']).nth(1).unwrap().to_owned();
    let (private, listens) = (at(&["chmod", "admin.sock", "0660"]), at(&[&format!("listen({descriptor},")]));
    assert!(bound < private && private < listens, "{calls}");
}
