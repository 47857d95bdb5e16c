//! `edgectl acme doctor`: why an authority would not issue a certificate, with a line for each check.

use super::context::CommandContext;
use super::terminal::CommandFailure;
use super::terminal::table::{Style, printable};
use crate::doctor::{DoctorQuestion, Finding, Mark};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  edgectl acme doctor
  edgectl acme doctor example.com")]
pub struct Args {
    #[command(subcommand)]
    verb: AcmeVerb,
}

#[derive(Debug, clap::Subcommand)]
enum AcmeVerb {
    /// Check DNS, CAA, ports, clock, directory and limits, from the daemon; orders nothing, changes nothing
    ///
    /// Exit 0 when nothing failed, else 1.
    Doctor {
        /// A name; without it, every name that wants a certificate of an authority
        host: Option<String>,
        /// The authority's port for http-01, if not 80
        #[arg(long, value_name = "PORT")]
        http_port: Option<u16>,
        /// The authority's port for tls-alpn-01, if not 443
        #[arg(long, value_name = "PORT")]
        https_port: Option<u16>,
    },
}

impl Args {
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let AcmeVerb::Doctor { host, http_port, https_port } = self.verb;
        let question = DoctorQuestion { host, http_port, https_port };
        let diagnosis = context.block_on(async { Ok(context.client.examine(&question).await?) })?;
        let output = &context.output;
        match output.json {
            true => output.json(&diagnosis),
            false => diagnosis.findings.iter().for_each(|finding| output.show(line(finding, output.color))),
        }
        match diagnosis.has_failed() {
            true => Err(CommandFailure::failed("").told()),
            false => Ok(()),
        }
    }
}

/// `fail      example.com: http-01 at 192.0.2.10:80: connection refused → nothing listens there: ...`
fn line(finding: &Finding, color: bool) -> String {
    let (word, style) = match finding.mark {
        Mark::Ok => ("ok", Style::Green),
        Mark::Warn => ("warn", Style::Yellow),
        Mark::Fail => ("fail", Style::Red),
        Mark::Skipped => ("skipped", Style::Dim),
    };
    let mark = style.paint(&format!("{word:<7}"), color);
    let host = finding.host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
    let advice = finding.advice.as_ref().map(|advice| format!(" → {advice}")).unwrap_or_default();
    format!("{mark}  {}", printable(&format!("{host}{}: {}{advice}", finding.subject, finding.found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Check;

    #[test]
    fn a_line_says_what_it_looked_at_what_it_found_and_what_to_do() {
        let finding =
            Finding::new(Check::Http01, Mark::Fail, "http-01 at 192.0.2.1:80", "\"a\x1bb\" answers").of("a.test");
        let shown = line(&finding.clone().advise("mend it"), false);
        assert_eq!(shown, "fail     a.test: http-01 at 192.0.2.1:80: \"a\\u{1b}b\" answers → mend it");
        assert!(!line(&finding, false).contains('→'));
    }
}
