//! What a command prints arrives, or the command fails; and no text of others steers the terminal that shows it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::{Edge, Origin, Setup, Then, colors, wait_until};

/// One call of each command that prints; in this order, each has something to print.
const CALLS: [&str; 26] = [
    "status",
    "status --json",
    "status --watch",
    "active",
    "idle --json",
    "history",
    "history --json",
    "certs",
    "certs ca",
    "check",
    "health",
    "reload",
    "wait green",
    "preview green",
    "switch green",
    "rollback --json",
    "canary green 5",
    "canary off",
    "pause",
    "resume",
    "maintenance on",
    "maintenance off",
    "acme doctor",
    "completions bash",
    "demo --for 3s",
    "--help",
];

/// These print nothing on stdout, or want a terminal there.
const SILENT: [&str; 3] = ["serve", "top", "help"];

fn start() -> (Origin, Origin, Edge) {
    let (blue, green) = colors();
    let edge = Setup::colors(&blue, &green).health("interval = \"100ms\"\nrise = 1").switch("drain = \"1s\"").start();
    (blue, green, edge)
}

fn command(edge: &Edge, call: &str) -> Command {
    let mut command = edge.command(&call.split(' ').collect::<Vec<_>>());
    command.env("EDGE_CONFIG", edge.path("edge.toml"));
    command
}

#[test]
fn a_command_whose_output_is_lost_fails_and_says_so() {
    let (_blue, _green, edge) = start();
    for call in CALLS {
        let mut command = command(&edge, call);
        let mut child = command
            .stdout(File::options().write(true).open("/dev/full").unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{call}: {stderr}");
        let is_told = stderr.contains("error: ") && stderr.contains("No space left on device");
        assert!(is_told, "{call}: {stderr}");
    }
    assert_eq!(edge.status()["generation"], 9, "what was asked for was done");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (_blue, _green, edge) = start();
    for call in ["status", "status --json", "status --watch", "history", "switch green", "completions bash", "--help"] {
        let mut child = command(&edge, call).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{call}");
    }
}

#[test]
fn the_calls_above_are_all_there_are() {
    let (_blue, _green, edge) = start();
    let help = edge.admin(&["--help"]).ok().stdout;
    let listed = help.split_once("Commands:\n").unwrap().1.lines().take_while(|line| !line.is_empty());
    let listed: BTreeSet<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    let called = CALLS.iter().map(|call| call.split(' ').next().unwrap()).filter(|word| !word.starts_with('-'));
    let called: BTreeSet<&str> = called.chain(SILENT).collect();
    assert_eq!(listed, called);
}

#[test]
fn no_records_are_nothing_to_print() {
    let (_blue, _green, edge) = start();
    assert_eq!(edge.admin(&["history"]).ok().stdout, "nothing has been switched yet\n");
    edge.admin(&["switch", "green"]).ok();
    let ran = edge.admin(&["history", "-n", "0"]).ok();
    assert_eq!((&*ran.stdout, &*ran.stderr), ("", ""));
    assert_eq!(edge.admin(&["history", "-n", "0", "--json"]).ok().json()["records"], serde_json::json!([]));
}

#[test]
fn what_a_backend_or_an_operator_says_is_shown_and_not_obeyed() {
    const HOSTILE: &str = "x\u{1b}[2J\u{9b}31m\u{202e}\u{2066}y\u{7f}";
    let (blue, green) = colors();
    for (origin, answer) in
        [(&blue, "200 OK\r\n".to_owned()), (&green, "302 Found\r\nLocation: /\u{9b}31m\u{202e}\r\n".to_owned())]
    {
        origin.on("/probe", move |_, wire| {
            wire.send(format!("HTTP/1.1 {answer}Content-Length: 0\r\n\r\n"));
            Then::Keep
        });
    }
    let edge = Setup::colors(&blue, &green).health("interval = \"100ms\"\npath = \"/probe\"").start();
    wait_until("a probe", || edge.status()["pools"][1]["backends"][0]["last_probe"]["passed"] == false);
    let refused = edge.admin(&["switch", "green", "--timeout", "300ms", "--reason", HOSTILE]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    edge.admin(&["maintenance", "on", "--message", HOSTILE, "--reason", HOSTILE]).ok();
    let said = ["status", "status --json", "history", "history --json"].map(|call| {
        let ran = edge.admin(&call.split(' ').collect::<Vec<_>>()).ok();
        ran.stdout
    });
    for text in said.iter().chain([&refused.stdout, &refused.stderr]) {
        let steers =
            |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{2066}');
        assert!(!text.contains(steers), "{text:?}");
    }
    assert!(
        said[0].contains("\\u{202e}") && said[2].contains("x\\u{1b}[2J\\u{9b}31m\\u{202e}\\u{2066}y\\u{7f}"),
        "{said:?}"
    );
    let records = edge.admin(&["history", "--json"]).ok().json();
    assert_eq!(records["records"][1]["reason"], HOSTILE, "the same for a program");
}
