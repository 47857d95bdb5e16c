//! HAProxy: one thread, HTTP log to stdout as in a container, which is a file here.
//!
//! Its usual log is a datagram to syslog. A file costs it one write a line, as nginx's log does; a datagram would cost it
//! the socket's delivery too and load the other core with a reader.

use rustix::process::Signal;

use super::sites::{self, Sites};
use super::{HSTS, Recipe, SECURITY_HEADERS, Setting};

pub fn recipe(setting: &Setting) -> Recipe {
    Recipe {
        file: "haproxy.cfg",
        config: config(setting),
        beside: crowd(setting),
        arguments: arguments(setting).map(str::to_owned).to_vec(),
        log: "stdout.log",
        reload: Signal::USR2,
    }
}

/// `-W` has a master that reloads; the one process without it is what the other cells measure.
fn arguments(setting: &Setting) -> [&'static str; 3] {
    match setting.sites {
        Sites::Crowd(_) => ["-W", "-f", "haproxy.cfg"],
        Sites::One | Sites::Ten => ["-db", "-f", "haproxy.cfg"],
    }
}

fn config(setting: &Setting) -> String {
    let Setting { origin, plain, tls, folder, .. } = setting;
    let folder = folder.display();
    let fields = |fields: &[(&str, &str)]| -> String {
        fields.iter().map(|(name, value)| format!("  http-response set-header {name} \"{value}\"\n")).collect()
    };
    let (sites, backends) = if setting.sites == Sites::Ten { ten(setting) } else { Default::default() };
    let certificates = match setting.sites {
        Sites::One | Sites::Ten => format!("crt {folder}/both.pem"),
        Sites::Crowd(_) => format!("crt {folder}/both.pem crt-list {folder}/crowd.lst"),
    };
    let (security, hsts) = (fields(SECURITY_HEADERS), fields(&[HSTS]));
    let rules = |scheme: &str| {
        format!(
            r"  http-request track-sc0 src table limits
  http-request deny deny_status 429 if {{ sc_http_req_rate(0,limits) gt 1000000 }}
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  http-response set-header X-Request-ID %[unique-id]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto {scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Real-IP %[src]
  http-response del-header Server
  http-response del-header X-Powered-By
{security}{sites}  default_backend app
"
        )
    };
    let (in_clear, secure) = (rules("http"), rules("https"));
    format!(
        r"global
  nbthread 1
  maxconn 4000
  log stdout format raw local0
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  log global
  option httplog
  option dontlognull
  timeout connect 2s
  timeout client 75s
  timeout http-request 10s
  timeout http-keep-alive 75s
  timeout server 60s
backend limits
  stick-table type ip size 100k expire 60s store http_req_rate(1s)
frontend plain
  bind {plain}
{in_clear}frontend secure
  bind {tls} ssl {certificates} alpn h2,http/1.1
{hsts}{secure}backend app
  http-reuse always
  option httpchk GET /health/
  server app {origin} check
{backends}"
    )
}

/// Rules of both frontends, then backends with the zones. A stick table is one rule and one place to count, each.
fn ten(setting: &Setting) -> (String, String) {
    let origin = setting.origin;
    let mut rules = String::from(
        "  acl api path_beg /api/
  acl static path_beg /static/
  http-request deny if { path_beg /admin/ } !{ src 127.0.0.0/8 }
  http-request redirect code 301 location %[path,regsub(^/old/,/new/)] if { path_beg /old/ }
  http-request track-sc1 src table api if api
  http-request deny deny_status 429 if api { sc_http_req_rate(1,api) gt 1000000 }
",
    );
    let mut choice = String::new();
    let table =
        |name: &str| format!("backend {name}\n  stick-table type ip size 100k expire 60s store http_req_rate(1s)\n");
    let mut backends = table("api");
    for (at, [host, www]) in sites::ten().enumerate() {
        rules.push_str(&format!("  acl s{at} req.hdr(host) -i {host} {www}\n"));
        rules.push_str(&format!("  http-request track-sc2 src table zone{at} if s{at} !static\n"));
        rules.push_str(&format!(
            "  http-request deny deny_status 429 if s{at} !static {{ sc_http_req_rate(2,zone{at}) gt 1000000 }}\n"
        ));
        choice.push_str(&format!("  use_backend app{at} if s{at}\n"));
        backends.push_str(&table(&format!("zone{at}")));
        backends.push_str(&format!(
            "backend app{at}\n  http-reuse always\n  option httpchk GET /health/\n  server app {origin} check\n"
        ));
    }
    (rules + &choice, backends)
}

/// The crowd's certificates, a line each.
fn crowd(setting: &Setting) -> Option<(&'static str, String)> {
    let Sites::Crowd(count) = setting.sites else {
        return None;
    };
    let line = |number| format!("{}\n", sites::files_of(setting.crowd, number)[2]);
    Some(("crowd.lst", (0..count).map(line).collect()))
}
