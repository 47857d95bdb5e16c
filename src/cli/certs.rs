//! `edgectl certs`: which certificate serves which names, until when, and why one can't be issued.
//!
//! `ca`: [`super::ca`].

use jiff::Timestamp;

use super::ca;
use super::context::CommandContext;
use super::terminal::CommandFailure;
use super::terminal::span::{clock, since};
use super::terminal::table::{Cell, Style, printable, table};
use crate::admin::wire::{CertificateSource, CertificateStatus};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  edgectl certs
  edgectl certs renew example.com
  edgectl certs ca > edgectl-ca.pem       the internal CA's root; how to trust it goes to stderr")]
pub struct Args {
    #[command(subcommand)]
    verb: Option<CertsVerb>,
}

#[derive(Debug, clap::Subcommand)]
enum CertsVerb {
    /// Renew one now, whatever its age, and wait until it serves
    Renew {
        /// A name in the certificate
        host: String,
    },
    /// Print the root of the internal CA (PEM), and how to trust it
    Ca,
}

/// A certificate that ends within this many hours is shown as a warning.
const WARNING_HOURS: i64 = 14 * 24;

/// The same for a certificate that the daemon renews, which may be valid for a few days only.
const WARNING_HOURS_RENEWED: i64 = 24;

const HEAD: [&str; 6] = ["CERTIFICATE", "SOURCE", "ISSUER", "EXPIRES", "NEXT RENEWAL", "ERROR"];

impl Args {
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        match self.verb {
            None => show(context),
            Some(CertsVerb::Renew { host }) => renew(context, &host),
            Some(CertsVerb::Ca) => ca::show(context),
        }
    }
}

fn show(context: &CommandContext) -> Result<(), CommandFailure> {
    let output = &context.output;
    let found = context.block_on(async { Ok(context.client.certificates().await?) })?;
    if output.json {
        output.json(&found);
        return Ok(());
    }
    if found.certificates.is_empty() {
        output.say("no site has a certificate");
        return Ok(());
    }
    output.show(render(&found.certificates, Timestamp::now(), output.color));
    Ok(())
}

fn renew(context: &CommandContext, host: &str) -> Result<(), CommandFailure> {
    let renewed = context.block_on(async { Ok(context.client.renew(host).await?) })?;
    if context.output.json {
        context.output.json(&renewed);
        return Ok(());
    }
    let (names, until) = (renewed.names.join(", "), clock(renewed.not_after));
    context.output.show(printable(&format!("{names}: issued by {}, until {until}", renewed.issuer)));
    Ok(())
}

/// Also used by `status`.
pub(super) fn render(certificates: &[CertificateStatus], now: Timestamp, color: bool) -> String {
    let rows: Vec<_> = certificates.iter().map(|found| row(found, now)).collect();
    table(&HEAD, &rows, color)
}

fn row(found: &CertificateStatus, now: Timestamp) -> Vec<Cell> {
    let file = found.file.as_ref().map(|file| file.display().to_string());
    let source = match found.source {
        CertificateSource::File => Cell::plain(file.unwrap_or_else(|| "file".to_owned())),
        CertificateSource::Internal => Cell::plain("internal CA"),
        CertificateSource::Acme => Cell::plain("acme"),
        CertificateSource::StandIn => Cell::new("internal CA, stands in", Style::Yellow),
    };
    let next = found.next_renewal.map(|at| if at > now { format!("in {}", since(now, at)) } else { "now".to_owned() });
    vec![
        Cell::plain(found.names.join(", ")),
        source,
        Cell::plain(&found.issuer),
        found.not_after.map_or_else(|| Cell::plain(""), |end| expiry(end, now, found.source)),
        Cell::plain(next.unwrap_or_default()),
        troubles(found),
    ]
}

fn troubles(found: &CertificateStatus) -> Cell {
    let style = if found.error.is_some() { Style::Red } else { Style::Yellow };
    let all: Vec<&str> = found.error.iter().chain(&found.warnings).map(String::as_str).collect();
    Cell::new(all.join("; "), style)
}

fn expiry(end: Timestamp, now: Timestamp, source: CertificateSource) -> Cell {
    let warning = if source == CertificateSource::File { WARNING_HOURS } else { WARNING_HOURS_RENEWED };
    match end.duration_since(now).as_hours() {
        ..0 => Cell::new(format!("expired {}", clock(end)), Style::Red),
        hours if hours < warning => Cell::new(format!("in {}", since(now, end)), Style::Yellow),
        _ => Cell::plain(format!("in {}", since(now, end))),
    }
}
