//! `edgectl certs ca`: the internal CA's root on stdout, and how to trust it on stderr.

use serde_json::json;

use super::context::CommandContext;
use super::terminal::CommandFailure;
use crate::admin::wire::CaRoot;

/// For each place: how to trust `edgectl-ca.pem` there.
const TRUST: [(&str, &str); 5] = [
    ("curl", "curl --cacert edgectl-ca.pem https://NAME/"),
    ("Debian", "sudo cp edgectl-ca.pem /usr/local/share/ca-certificates/edgectl-ca.crt && sudo update-ca-certificates"),
    ("Fedora", "sudo cp edgectl-ca.pem /etc/pki/ca-trust/source/anchors/ && sudo update-ca-trust"),
    ("macOS", "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain edgectl-ca.pem"),
    ("Firefox", "Settings, Privacy & Security, View Certificates, Authorities, Import; it has a store of its own"),
];

pub(super) fn show(context: &CommandContext) -> Result<(), CommandFailure> {
    let root = context.block_on(async { Ok(context.client.ca().await?) })?;
    let output = &context.output;
    if output.json {
        let trust: serde_json::Map<_, _> = TRUST.iter().map(|(name, how)| ((*name).to_owned(), json!(how))).collect();
        let CaRoot { pem, sha256, not_after, constrained } = &root;
        output.json(&json!({
            "pem": pem, "sha256": sha256, "not_after": not_after, "constrained": constrained, "trust": trust,
        }));
        return Ok(());
    }
    output.note(explanation(&root));
    output.show(root.pem.trim_end());
    Ok(())
}

fn explanation(root: &CaRoot) -> String {
    let reach = match root.constrained {
        true => "It can vouch for localhost, *.test, *.internal and IP addresses, and for nothing else.",
        false => "CAREFUL: it was made without constraints, and could vouch for any name.",
    };
    let until = root.not_after.map(|at| format!(", until {}", at.strftime("%Y-%m-%d"))).unwrap_or_default();
    let trust = TRUST.map(|(name, how)| format!("  {name:<8} {how}\n")).concat();
    format!(
        "The root of this daemon's internal CA{until}.\n{reach}\nSHA-256 {}\n\n\
         To trust it, write it to a file (edgectl certs ca > edgectl-ca.pem), then\n{trust}",
        root.sha256
    )
}
