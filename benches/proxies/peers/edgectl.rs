//! edgectl with its defaults; only addresses, paths, one worker and the rate-limit zone are said.

use std::path::PathBuf;

use super::{PLAIN_HOST, Recipe, Setting, TLS_HOST};

pub fn recipe(setting: &Setting) -> Recipe {
    Recipe {
        file: "edge.toml",
        config: config(setting),
        arguments: ["serve", "--config", "edge.toml"].map(str::to_owned).to_vec(),
        log: "log/access.log",
    }
}

/// `EDGECTL_BIN`, else the release binary of this project.
pub fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("EDGECTL_BIN").map_or_else(
        || {
            let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(target).join("release/edgectl")
        },
        PathBuf::from,
    );
    path.is_file().then(|| path.canonicalize().unwrap_or(path))
}

fn config(setting: &Setting) -> String {
    let Setting { origin, plain, tls, metrics, folder, .. } = setting;
    let folder = folder.display();
    format!(
        r#"[server]
http = ["{plain}"]
https = ["{tls}"]
admin = "{folder}/admin.sock"
metrics = "{metrics}"
state_dir = "{folder}/state"
workers = 1
shutdown_timeout = "1s"

[limits]
keepalive_requests = 100000000

[log]
access = "{folder}/log/access.log"
format = "json"

[[tls.certificate]]
cert = "{folder}/cert.pem"
key = "{folder}/key.pem"

[zone.bench]
key = "ip"
rate = "1000000r/s"
burst = 100000

[service.app]
blue = ["{origin}"]
green = ["{origin}"]

[service.app.health]
path = "/health/"

[[site]]
hosts = ["{TLS_HOST}"]
service = "app"
limit = ["bench"]

[[site]]
hosts = ["{PLAIN_HOST}"]
tls = "off"
service = "app"
limit = ["bench"]
"#
    )
}
