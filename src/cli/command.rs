//! The tree of commands, and the way from arguments to an exit code.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use super::context::CommandContext;
use super::operation::ServiceChange;
use super::terminal::{CommandFailure, Exit, GlobalOptions};
use super::{
    acme, canary, certs, check, color, completions, demo, health, history, maintenance, pause, preview, reload, resume,
    rollback, serve, status, switch, top, wait,
};

/// The front door for apps deployed with docker compose: TLS, limits, security headers and atomic blue-green switches.
#[derive(Debug, Parser)]
#[command(name = "edgectl", version, max_term_width = 100, after_long_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  edgectl demo                            see a switch under load, on free loopback ports
  edgectl check edge.toml                 every mistake at once, with line and column
  edgectl serve --config edge.toml        the daemon, in the foreground
  docker compose up -d app-$(edgectl idle) && edgectl switch $(edgectl idle)
                                          a deploy: start the idle colour, then let it serve
  edgectl rollback --reason 'checkout is slow'

Exit codes:
  0 done                        4 gate not passed, nothing changed
  1 failed (said why)           5 conflict: a switch runs, or the generation differs
  2 usage or invalid config     6 switched, then rolled back by the watch
  3 daemon not reachable        7 not allowed (socket permission)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon, in the foreground
    Serve(serve::Args),
    /// Show a switch and a rollback under load, nothing to set up
    Demo(demo::Args),
    /// Validate a config and print what it says
    Check(check::Args),
    /// Let a colour serve, once it has passed the gate
    Switch(switch::Args),
    /// Go back to the previous colour, gate included
    Rollback(rollback::Args),
    /// Send a share of the clients to the other colour, or none of them
    Canary(canary::Args),
    /// Hold new requests, and wait until nothing is in flight
    Pause(pause::Args),
    /// Let the requests go that a pause holds
    Resume(ServiceChange),
    /// Answer 503 with a page, or end that
    Maintenance(maintenance::Args),
    /// Print a signed link that lets its holder see a colour
    Preview(preview::Args),
    /// Show services, backends, certificates and listeners
    Status(status::Args),
    /// Watch the colours side by side, live; switch and roll back at a key
    Top(top::Args),
    /// Print the colour that serves
    Active(color::Args),
    /// Print the colour to deploy to
    Idle(color::Args),
    /// Wait until a colour passes the gate; changes nothing
    Wait(wait::Args),
    /// Show who switched what, when and why
    History(history::Args),
    /// Show certificates, their expiry and why one can't be issued; or renew one
    Certs(certs::Args),
    /// Find out why an authority does not issue a certificate
    Acme(acme::Args),
    /// Reload the config and print what has changed
    Reload(reload::Args),
    /// Exit 0 if the daemon is ready: for HEALTHCHECK
    Health(health::Args),
    /// Print the completion script of a shell
    Completions(completions::Args),
}

/// Parses `args` (the program's name first), runs the command, prints everything, and returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(answer) => return print(&answer),
    };
    let context = CommandContext::new(&cli.global);
    let ran = cli.command.run(&context);
    if let Err(failure) = &ran {
        context.output.fail(failure);
    }
    let arrived = context.output.arrived();
    if let Err(failure) = &arrived {
        context.output.fail(failure);
    }
    match ran.and(arrived) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.exit.into(),
    }
}

/// The help, the version, or what is wrong with the arguments.
fn print(answer: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(Exit::Usage as u8));
    match answer.print() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe && !answer.use_stderr() => {
            let _ = writeln!(io::stderr(), "error: {}", CommandFailure::unwritten(&error.to_string()).text);
            Exit::Failed.into()
        }
        _ => code,
    }
}

impl Command {
    fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        match self {
            Self::Serve(args) => args.run(context),
            Self::Demo(args) => args.run(context),
            Self::Check(args) => args.run(context),
            Self::Switch(args) => args.run(context),
            Self::Rollback(args) => args.run(context),
            Self::Canary(args) => args.run(context),
            Self::Pause(args) => args.run(context),
            Self::Resume(args) => resume::run(args, context),
            Self::Maintenance(args) => args.run(context),
            Self::Preview(args) => args.run(context),
            Self::Status(args) => args.run(context),
            Self::Top(args) => args.run(context),
            Self::Active(args) => args.run(context, color::ColorOf::Active),
            Self::Idle(args) => args.run(context, color::ColorOf::Idle),
            Self::Wait(args) => args.run(context),
            Self::History(args) => args.run(context),
            Self::Certs(args) => args.run(context),
            Self::Acme(args) => args.run(context),
            Self::Reload(args) => args.run(context),
            Self::Health(args) => args.run(context),
            Self::Completions(args) => args.run(context, &mut Cli::command()),
        }
    }
}
