//! The bench: `compare` measures edgectl beside other proxies (`make bench`), `instructions` counts what edgectl spends on a request
//! (`make instructions`), `origin` is the application behind both, which they start themselves.
//!
//! `compare/` and `instructions/` say what is measured and how, `peers/` how the proxies are set up, `load/` asks, `origin/`
//! answers.

mod cells;
mod compare;
mod cpu;
mod instructions;
mod load;
mod origin;
mod peers;
mod results;
mod tools;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Measures edgectl.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// What cargo passes.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    Compare(compare::Args),
    Instructions(instructions::Args),
    /// Serves as the application behind the proxies until its standard input ends.
    #[command(hide = true)]
    Origin {
        /// The core to run on.
        #[arg(long)]
        core: Option<usize>,
    },
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benches without arguments, `cargo bench` with its own alone; neither wants minutes of measuring.
    if std::env::args().skip(1).all(|argument| argument == "--bench") {
        println!("nothing measured: run `make bench` or `make instructions`");
        return ExitCode::SUCCESS;
    }
    match run(&Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    if let Command::Origin { core: Some(core) } = command {
        cpu::pin(*core)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        let work = async {
            match command {
                Command::Compare(args) => compare::run(args).await,
                Command::Instructions(args) => instructions::run(args).await,
                Command::Origin { .. } => origin::server::serve(tell).await.map(|()| ExitCode::SUCCESS),
            }
        };
        tokio::select! {
            code = work => code,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminated.recv() => bail!("terminated"),
        }
    })
}

/// The line that the bench waits for.
fn tell(addr: std::net::SocketAddr) {
    println!("{addr}");
    std::io::stdout().flush().ok();
}
