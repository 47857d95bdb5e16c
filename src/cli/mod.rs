//! The command line: one file for each command, its arguments and its effect.
//!
//! Owns what is printed and the exit codes ([`Exit`]). Decides nothing about traffic: most commands ask the daemon through
//! [`crate::admin`], the others work on files. Product goes to stdout, progress and errors to stderr; `--json` puts one
//! JSON value, or one a line, on stdout instead. The tree of commands is here, what they share in `context`.

mod acme;
mod active;
mod ca;
mod canary;
mod certs;
mod change;
mod check;
mod completions;
mod context;
mod demo;
mod exit;
mod failure;
mod health;
mod history;
mod idle;
mod maintenance;
mod operation;
mod output;
mod pause;
mod preview;
mod progress;
mod reload;
mod resume;
mod rollback;
mod serve;
mod span;
mod status;
mod switch;
mod table;
mod target;
mod top;
mod wait;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use context::Context;
pub use exit::Exit;
use failure::Failure;

/// The front door for apps deployed with docker compose: TLS, limits, security headers and atomic blue-green switches.
#[derive(Debug, Parser)]
#[command(name = "edgectl", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
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

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// The daemon's admin socket [env: EDGE_SOCKET] [default: /run/edgectl/admin.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// JSON on stdout; one value a line for what goes on
    #[arg(long, global = true)]
    json: bool,
    /// Only errors, and what was asked to be shown
    #[arg(long, short, global = true)]
    quiet: bool,
    /// When to colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

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
    /// Send a share of the clients to the other colour, or no longer
    Canary(canary::Args),
    /// Hold new requests, until what is in flight has finished and beyond
    Pause(pause::Args),
    /// Let go what a pause has held
    Resume(resume::Args),
    /// Answer 503 with a page, or no longer
    Maintenance(maintenance::Args),
    /// Print a signed link that lets its holder see a colour
    Preview(preview::Args),
    /// Show services, backends, certificates and listeners
    Status(status::Args),
    /// Watch the colours side by side, live; switch and roll back at a key
    Top(top::Args),
    /// Print the colour that serves
    Active(active::Args),
    /// Print the colour to deploy to
    Idle(idle::Args),
    /// Wait until a colour passes the gate; changes nothing
    Wait(wait::Args),
    /// Show who switched what, when and why
    History(history::Args),
    /// Show certificates, their expiry and what keeps one from being issued; or renew one
    Certs(certs::Args),
    /// Find out why an authority would not issue a certificate
    Acme(acme::Args),
    /// Reread the config and print what changed
    Reload(reload::Args),
    /// Exit 0 if the daemon is ready: for HEALTHCHECK
    Health(health::Args),
    /// Print the completion script of a shell
    Completions(completions::Args),
}

/// Parses `args`, the program's name first, does what they say, and answers the exit code. Prints everything itself.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    let context = Context::new(&cli.global);
    match cli.command.run(&context) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            context.output.fail(&failure);
            failure.exit.into()
        }
    }
}

impl Command {
    fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Serve(args) => args.run(context),
            Self::Demo(args) => args.run(context),
            Self::Check(args) => args.run(context),
            Self::Switch(args) => args.run(context),
            Self::Rollback(args) => args.run(context),
            Self::Canary(args) => args.run(context),
            Self::Pause(args) => args.run(context),
            Self::Resume(args) => args.run(context),
            Self::Maintenance(args) => args.run(context),
            Self::Preview(args) => args.run(context),
            Self::Status(args) => args.run(context),
            Self::Top(args) => args.run(context),
            Self::Active(args) => args.run(context),
            Self::Idle(args) => args.run(context),
            Self::Wait(args) => args.run(context),
            Self::History(args) => args.run(context),
            Self::Certs(args) => args.run(context),
            Self::Acme(args) => args.run(context),
            Self::Reload(args) => args.run(context),
            Self::Health(args) => args.run(context),
            Self::Completions(args) => args.run(context),
        }
    }
}
