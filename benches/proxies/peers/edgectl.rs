//! edgectl with its defaults; only addresses, paths, one worker, the sites and their zones are set.

use std::path::PathBuf;

use rustix::process::Signal;

use super::sites::{self, PLAIN_HOST, Sites, TLS_HOST};
use super::{Recipe, Setting};

pub fn recipe(setting: &Setting) -> Recipe {
    Recipe {
        file: "edge.toml",
        config: config(setting),
        beside: None,
        arguments: ["serve", "--config", "edge.toml"].map(str::to_owned).to_vec(),
        log: "log/access.log",
        reload: Signal::HUP,
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
    let Setting { plain, tls, metrics, folder, .. } = setting;
    let folder = folder.display();
    let sites = match setting.sites {
        Sites::One => String::new(),
        Sites::Ten => ten(setting),
        Sites::Crowd(count) => crowd(setting, count),
    };
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

{zone}{service}
[[site]]
hosts = ["{PLAIN_HOST}"]
tls = "off"
service = "app"
limit = ["bench"]

[[site]]
hosts = ["{TLS_HOST}"]
service = "app"
limit = ["bench"]
{sites}"#,
        zone = zone("bench"),
        service = service("app", setting),
    )
}

fn ten(setting: &Setting) -> String {
    let mut all = zone("api");
    for (at, [host, www]) in sites::ten().enumerate() {
        let name = format!("app{at}");
        all.push_str(&zone(&name));
        all.push_str(&service(&name, setting));
        all.push_str(&format!(
            r#"
[[site]]
hosts = ["{host}", "{www}"]
service = "{name}"
limit = ["{name}"]

[[site.route]]
path = "/api/"
limit = ["{name}", "api"]

[[site.route]]
path = "/static/"
limit = []

[[site.route]]
path = "/admin/"
allow = ["127.0.0.0/8"]

[[site.route]]
path = "/old/"
redirect = {{ to = "/new/", status = 301 }}
"#
        ));
    }
    all
}

fn crowd(setting: &Setting, count: usize) -> String {
    let mut all = String::new();
    for number in 0..count {
        let ([cert, key, _], host) = (sites::files_of(setting.crowd, number), sites::of_crowd(number));
        all.push_str(&format!(
            "\n[[tls.certificate]]\ncert = \"{cert}\"\nkey = \"{key}\"\n\n[[site]]\nhosts = [\"{host}\"]\nservice = \"app\"\n"
        ));
    }
    all
}

/// A rate that is high enough to refuse nothing; it counts all the same.
fn zone(name: &str) -> String {
    format!("\n[zone.{name}]\nkey = \"ip\"\nrate = \"1000000r/s\"\nburst = 100000\n")
}

fn service(name: &str, Setting { origin, probes, .. }: &Setting) -> String {
    format!(
        r#"
[service.{name}]
blue = ["{origin}"]
green = ["{origin}"]

[service.{name}.health]
path = "/health/"
rise = 1
{probes}
"#
    )
}
