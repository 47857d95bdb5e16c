//! testssl.sh, a scanner that is not ours, finds nothing above LOW in a default config.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CrlDistributionPoint, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use serde_json::Value;

use crate::support::{Identity, Origin, Root, Setup};

/// The scan takes a minute and a half if nothing else runs.
const LIMIT: Duration = Duration::from_mins(6);

#[test]
fn testssl_finds_nothing_above_low() {
    let Some(tool) = tool() else { return };
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    // A certificate as an authority would issue it: findings about dates and revocation concern the certificate, not the server.
    let authority = Root::named("Some CA");
    let identity = authority.sign_with(&["app.example"], |params| {
        Identity::valid(params, -1, 180);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec!["http://crl.example/".to_owned()] }];
    });
    let root = setup.path("root.pem");
    fs::write(&root, &authority.pem).unwrap();
    let section = identity.section(setup.place.dir(), "app");
    let edge = setup.and("[[site]]\nhosts = [\"app.example\"]\nservice = \"app\"\n").and(&section).start();
    let report = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/testssl.json");
    let _ = fs::remove_file(&report);
    let mut run = Command::new(tool)
        .args(["--ip", &edge.https().ip().to_string(), "--nodns", "none", "--warnings", "batch", "--color", "0"])
        .args(["--connect-timeout", "5", "--openssl-timeout", "5"])
        .arg("--add-ca")
        .arg(root)
        .arg("--jsonfile")
        .arg(&report)
        .arg(format!("https://app.example:{}/", edge.https().port()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + LIMIT;
    while run.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            run.kill().unwrap();
            run.wait().unwrap();
            panic!("testssl.sh took more than {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let text = fs::read_to_string(&report).expect("a report");
    let findings: Vec<Value> = serde_json::from_str(&text).expect("a whole report");
    let of = |id: &str| findings.iter().find(|found| found["id"] == id).unwrap_or_else(|| panic!("no {id} in {text}"));
    assert_eq!(of("TLS1_3")["severity"], "OK", "the scan has run");
    assert_eq!(of("heartbleed")["severity"], "OK");
    let bad: Vec<&Value> = findings.iter().filter(|found| is_above_low(found)).collect();
    assert!(bad.is_empty(), "{bad:#?}; the report: {}", report.display());
}

fn is_above_low(found: &Value) -> bool {
    let severity = found["severity"].as_str().unwrap_or_default();
    assert_ne!(severity, "FATAL", "testssl.sh could not look: {found}");
    matches!(severity, "MEDIUM" | "HIGH" | "CRITICAL")
}

/// Debian calls it `testssl`, its authors `testssl.sh`.
fn tool() -> Option<&'static str> {
    let works = |name: &&str| {
        Command::new(name)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    };
    let found = ["testssl", "testssl.sh"].into_iter().find(|name| works(name));
    if found.is_none() {
        let how = "testssl.sh is missing: `make test` installs it, or apt-get install testssl.sh bsdextrautils";
        assert!(std::env::var_os("CI").is_none(), "{how}");
        eprintln!("skipped: {how}");
    }
    found
}
