//! HAProxy: one thread, HTTP log to stdout as in a container, which is a file here.
//!
//! Its usual log is a datagram to syslog. A file costs it one write a line, as nginx's log does; a datagram would cost it
//! the socket's delivery too and load the other core with a reader.

use super::{HSTS, Recipe, SECURITY_HEADERS, Setting};

pub fn recipe(setting: &Setting) -> Recipe {
    Recipe {
        file: "haproxy.cfg",
        config: config(setting),
        arguments: ["-db", "-f", "haproxy.cfg"].map(str::to_owned).to_vec(),
        log: "stdout.log",
    }
}

fn config(setting: &Setting) -> String {
    let Setting { origin, plain, tls, folder, .. } = setting;
    let folder = folder.display();
    let fields = |fields: &[(&str, &str)]| -> String {
        fields.iter().map(|(name, value)| format!("  http-response set-header {name} \"{value}\"\n")).collect()
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
{security}  default_backend app
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
  bind {tls} ssl crt {folder}/both.pem alpn h2,http/1.1
{hsts}{secure}backend app
  http-reuse always
  option httpchk GET /health/
  server app {origin} check
"
    )
}
