//! Caddy as Debian has it, for information: its defaults, an access log, and the fields of the others. It has no rate limit without a
//! plugin, so its figures are without one.

use rustix::process::Signal;

use super::sites::{PLAIN_HOST, TLS_HOST};
use super::{HSTS, Recipe, SECURITY_HEADERS, Setting};

pub fn recipe(setting: &Setting) -> Recipe {
    Recipe {
        file: "Caddyfile",
        config: config(setting),
        beside: None,
        arguments: ["run", "--config", "Caddyfile", "--adapter", "caddyfile"].map(str::to_owned).to_vec(),
        log: "access.log",
        reload: Signal::USR1,
    }
}

fn config(setting: &Setting) -> String {
    let Setting { origin, plain, tls, folder, .. } = setting;
    let folder = folder.display();
    let site = |address: String, port: u16, more: &str, security: &[(&str, &str)]| {
        let fields: String = security.iter().map(|(name, value)| format!("    {name} \"{value}\"\n")).collect();
        format!(
            r"{address} {{
  bind 127.0.0.1
  {more}
  log
  header {{
    X-Request-ID {{http.request.uuid}}
    -Server
    -X-Powered-By
{fields}  }}
  reverse_proxy {origin} {{
    header_up X-Request-ID {{http.request.uuid}}
    header_up X-Forwarded-Port {port}
    header_up X-Real-IP {{remote_host}}
    health_uri /health/
    transport http {{
      keepalive_idle_conns_per_host 128
    }}
  }}
}}
"
        )
    };
    let secure: Vec<_> = SECURITY_HEADERS.iter().copied().chain([HSTS]).collect();
    // One log for all: a site's own is found by a Host with a port alone.
    format!(
        r"{{
  admin off
  auto_https off
  servers {{
    protocols h1 h2
  }}
  log {{
    output file {folder}/access.log {{
      roll_disabled
    }}
  }}
}}
{}{}",
        site(format!("http://{PLAIN_HOST}:{}", plain.port()), plain.port(), "", SECURITY_HEADERS),
        site(
            format!("https://{TLS_HOST}:{}", tls.port()),
            tls.port(),
            &format!("tls {folder}/cert.pem {folder}/key.pem"),
            &secure,
        ),
    )
}
