//! `edgectl check`: what a config says, or all its mistakes. Asks no daemon.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::context::CommandContext;
use super::terminal::CommandFailure;
use crate::config::{self, Config};
use crate::tls;
use crate::trust;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  edgectl check                     the file that `serve` would take
  edgectl check edge.toml --json    mistakes as rows with line and column")]
pub struct Args {
    /// The config file [env: EDGE_CONFIG] [default: /etc/edgectl/edge.toml]
    #[arg(value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    /// Exit 2 with every mistake; warnings alone are exit 0.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let output = &context.output;
        let path = config::find(self.config.as_deref());
        let loaded = config::load(&path).map_err(|errors| CommandFailure::invalid_config(&errors, output.color_err))?;
        let unusable = unusable_files(&loaded.config);
        if output.json {
            let certificates: Vec<Value> =
                unusable.iter().map(|file| json!({ "cert": file.path, "error": file.error })).collect();
            output.json(&json!({
                "file": path,
                "config": loaded.config.to_json(),
                "diagnostics": loaded.warnings,
                "unusable_certificates": certificates,
                "certificate_warnings": warnings(&loaded.config),
            }));
            return Ok(());
        }
        if !loaded.warnings.is_empty() {
            output.note(format!("{}\n", loaded.warnings.render(output.color_err)));
        }
        for file in &unusable {
            output.note(format!("warning: {}; {}\n", file.error, file.consequence));
        }
        for warning in warnings(&loaded.config) {
            output.note(format!("warning: {warning}\n"));
        }
        output.say(loaded.config.summary().trim_end());
        Ok(())
    }
}

/// Warnings about certificates that some clients may refuse, that none would be shown, or whose time is not now.
fn warnings(config: &Config) -> Vec<String> {
    let all = &config.tls.certificates;
    let loaded: Vec<_> = all.iter().map(|files| tls::load(files).ok()).collect();
    let useless = tls::survey(config, &loaded.iter().map(Option::as_ref).collect::<Vec<_>>(), SystemTime::now());
    let mut found = Vec::new();
    for ((files, loaded), useless) in all.iter().zip(&loaded).zip(useless) {
        found.extend(loaded.as_ref().and_then(|loaded| tls::unfit_now(files, loaded)));
        found.extend(loaded.iter().flat_map(|loaded| loaded.warnings.clone()));
        found.extend(useless);
    }
    found
}

/// A file that the config names and that could not be loaded.
struct UnusableFile {
    path: PathBuf,
    error: String,
    consequence: &'static str,
}

/// Reads what the config names with the rights of the user that runs this.
fn unusable_files(config: &Config) -> Vec<UnusableFile> {
    const NOT_SERVED: &str = "its site would not be served with it";
    const UNASKED: &str = "the authority could not be asked for certificates";
    const UNREACHABLE: &str = "the https backends of its service could not be reached";
    let unusable = |path: PathBuf, error: String, consequence| UnusableFile { path, error, consequence };
    let certificates = config.tls.certificates.iter();
    let broken = certificates.filter_map(|files| {
        tls::load(files).err().map(|error| unusable(files.cert.clone(), error.to_string(), NOT_SERVED))
    });
    let asked: HashSet<_> = trust::asked_of_clients(config).collect();
    let shut = asked.into_iter().filter_map(|asked| {
        trust::ClientRoots::read(asked).err().map(|error| unusable(asked.ca.clone(), error.to_string(), NOT_SERVED))
    });
    let unverified = trust::backend_files(config).filter_map(|path| {
        trust::Roots::read(path).err().map(|error| unusable(path.to_owned(), format!("tls_ca: {error}"), UNREACHABLE))
    });
    let unasked = config.acme.ca_file.iter().filter_map(|path| {
        trust::Roots::read(path).err().map(|error| unusable(path.clone(), format!("acme.ca_file: {error}"), UNASKED))
    });
    broken.chain(shut).chain(unverified).chain(unasked).collect()
}
