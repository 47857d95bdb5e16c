//! What is typed, and what it means.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::command::Cli;
use super::context;
use super::terminal::{CommandFailure, Exit};
use crate::admin::wire::ServiceStatus;
use crate::admin::{ClientError, Problem, ProblemCode};
use crate::types::Color;

fn parse(line: &str) -> Result<Cli, ErrorKind> {
    Cli::try_parse_from(format!("edgectl {line}").split_whitespace()).map_err(|error| error.kind())
}

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_readme_is_understood() {
    for line in [
        "serve --config edge.toml",
        "demo --for 3s",
        "check",
        "check edge.toml --json",
        "switch green",
        "switch app green --timeout 2m --drain 5m --no-wait --if-generation 7 --reason release",
        "switch green --force --socket /tmp/a.sock",
        "rollback app --reason slow",
        "rollback --timeout 5s --drain 5s --watch 1m --force --anyway --if-generation 7",
        "preview green --ttl 2d",
        "preview app green",
        "--json status --watch",
        "status app --color always",
        "top",
        "active",
        "idle app",
        "wait app green --timeout 10s",
        "history app -n 5",
        "reload -q",
        "health",
        "completions bash",
    ] {
        assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).unwrap_err());
    }
}

#[test]
fn what_is_not_understood_is_a_usage_error() {
    for (line, kind) in [
        ("switch", ErrorKind::MissingRequiredArgument),
        ("switch green app more", ErrorKind::UnknownArgument),
        ("switch green --timeout 30", ErrorKind::ValueValidation),
        ("switch green --if-generation new", ErrorKind::ValueValidation),
        ("rollback --no-wait", ErrorKind::UnknownArgument),
        ("canary", ErrorKind::MissingRequiredArgument),
        ("canary green 5 app more", ErrorKind::TooManyValues),
        ("switch green --step-time 30s", ErrorKind::MissingRequiredArgument),
        ("maintenance maybe", ErrorKind::InvalidValue),
        ("paws", ErrorKind::InvalidSubcommand),
        ("status --color maybe", ErrorKind::InvalidValue),
        ("check --config edge.toml", ErrorKind::UnknownArgument),
    ] {
        let found = parse(line).map(|_| ()).unwrap_err();
        assert_eq!(found, kind, "{line}");
        assert_eq!(Cli::try_parse_from(["edgectl"]).unwrap_err().exit_code(), Exit::Usage as i32);
    }
}

#[test]
fn every_command_has_its_line_of_help() {
    for command in Cli::command().get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty() && !about.contains('\n'), "{}: {about:?}", command.get_name());
    }
}

#[test]
fn refusals_end_in_their_exit_codes() {
    let of = |code| Exit::from(&ClientError::Problem(Box::new(Problem::new(code, "why"))));
    for (code, exit) in [
        (ProblemCode::GateNotPassed, 4),
        (ProblemCode::Conflict, 5),
        (ProblemCode::GenerationConflict, 5),
        (ProblemCode::RolledBackFrom, 5),
        (ProblemCode::NoSuchService, 2),
        (ProblemCode::NotColored, 2),
        (ProblemCode::InvalidConfig, 2),
        (ProblemCode::NoPrevious, 1),
        (ProblemCode::NotDurable, 1),
        (ProblemCode::ShuttingDown, 1),
        (ProblemCode::Unknown, 1),
    ] {
        assert_eq!(of(code) as u8, exit, "{code:?}");
    }
    let socket = PathBuf::from("/run/edgectl/admin.sock");
    let gone = ClientError::NotReachable { socket: socket.clone(), why: "gone".to_owned() };
    assert_eq!(Exit::from(&gone), Exit::NotReachable);
    assert_eq!(Exit::from(&ClientError::NotAllowed { socket }), Exit::NotAllowed);
}

#[test]
fn a_failure_in_json_has_code_and_exit() {
    let problem = Problem::new(ProblemCode::Conflict, "service \"app\" is being switched");
    let json = CommandFailure::from(ClientError::Problem(Box::new(problem))).to_json();
    assert_eq!(json["event"], "error");
    assert_eq!((&json["problem"]["code"], &json["problem"]["exit"]), (&"conflict".into(), &5.into()));
    assert_eq!(CommandFailure::usage("no").to_json()["problem"]["exit"], 2);
}

#[test]
fn the_service_may_be_left_out_when_there_is_one() {
    let service = |name: &str, active| ServiceStatus {
        name: name.to_owned(),
        active,
        previous: None,
        idle: active.map(Color::other),
        generation: None,
        since: None,
        canary: None,
        paused: None,
        maintenance: None,
        detour: None,
        preview_until: None,
        pools: Vec::new(),
    };
    let pick = |services: &[(&str, bool)], named| {
        let services = services.iter().map(|(name, colored)| service(name, colored.then_some(Color::Blue)));
        context::pick(services.collect(), named).map(|found| found.name).map_err(|failure| failure.text)
    };
    assert_eq!(pick(&[("app", true), ("docs", false)], None), Ok("app".to_owned()));
    assert_eq!(pick(&[("app", true), ("shop", true)], Some("shop")), Ok("shop".to_owned()));
    assert!(pick(&[("app", true), ("shop", true)], None).unwrap_err().contains("app, shop"));
    assert!(pick(&[("docs", false)], None).unwrap_err().contains("`blue` and `green`"));
    assert!(pick(&[("docs", false)], Some("docs")).unwrap_err().contains("one pool"));
    assert!(pick(&[("app", true)], Some("ap")).unwrap_err().contains("there is app"));
}
