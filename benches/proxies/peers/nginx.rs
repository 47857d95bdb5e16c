//! nginx as Debian's package and its users have it: one worker, kept-alive upstream, unbuffered access log.
//!
//! `keepalive_requests` is raised for all proxies, so that no connection is closed within a cell. `proxy_buffers` keep their
//! default of 8 × 4 KiB: large answers cost many small reads, and those over h2 go through a temporary file when the client
//! is slower than the origin. Larger buffers halve the cost of 1 MiB over h2, but few have them.

use rustix::process::Signal;

use super::sites::{self, PLAIN_HOST, Sites, TLS_HOST};
use super::{HSTS, Recipe, SECURITY_HEADERS, Setting};

pub fn recipe(setting: &Setting) -> Recipe {
    Recipe {
        file: "nginx.conf",
        config: config(setting),
        beside: None,
        arguments: ["-p", ".", "-e", "error.log", "-c", "nginx.conf"].map(str::to_owned).to_vec(),
        log: "access.log",
        reload: Signal::HUP,
    }
}

fn config(setting: &Setting) -> String {
    let Setting { origin, folder, .. } = setting;
    let folder = folder.display();
    let fields = |fields: &[(&str, &str)]| -> String {
        fields.iter().map(|(name, value)| format!("    add_header {name} \"{value}\" always;\n")).collect()
    };
    let (security, hsts) = (fields(SECURITY_HEADERS), fields(&[HSTS]));
    let (zones, servers) = match setting.sites {
        Sites::One => Default::default(),
        Sites::Ten => ten(setting, &format!("{security}{hsts}")),
        Sites::Crowd(count) => crowd(setting, count, &format!("{security}{hsts}")),
    };
    let http2 = if http2_directive(setting.version) { "  http2 on;\n" } else { "" };
    let doors = doors(setting, &security, &hsts);
    format!(
        r#"daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  gzip off;
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_timeout 75s;
  keepalive_requests 100000000;
  limit_req_zone $binary_remote_addr zone=bench:10m rate=1000000r/s;
{zones}  limit_req_status 429;
{http2}  ssl_certificate {folder}/cert.pem;
  ssl_certificate_key {folder}/key.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:SSL:10m;
  upstream app {{
    server {origin};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_set_header X-Request-ID $request_id;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $host;
  proxy_set_header X-Forwarded-Port $server_port;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_hide_header X-Powered-By;
{doors}{servers}}}
"#
    )
}

/// The site in the clear and the one over TLS.
fn doors(Setting { plain, tls, version, .. }: &Setting, security: &str, hsts: &str) -> String {
    // For all sites on the port.
    let listen = if http2_directive(version) { "ssl" } else { "ssl http2" };
    let limit = "limit_req zone=bench burst=100000 nodelay;";
    format!(
        "  server {{
    listen {plain};
    server_name {PLAIN_HOST};
    {limit}
    add_header X-Request-ID $request_id always;
{security}    location / {{ proxy_pass http://app; }}
  }}
  server {{
    listen {tls} {listen};
    server_name {TLS_HOST};
    {limit}
    add_header X-Request-ID $request_id always;
{security}{hsts}    location / {{ proxy_pass http://app; }}
  }}
"
    )
}

/// Zones and upstreams, then servers.
fn ten(setting: &Setting, fields: &str) -> (String, String) {
    let Setting { origin, tls, .. } = setting;
    let mut zones = String::from("  limit_req_zone $binary_remote_addr zone=api:10m rate=1000000r/s;\n");
    let mut servers = String::new();
    for (at, [host, www]) in sites::ten().enumerate() {
        let name = format!("app{at}");
        zones.push_str(&format!(
            "  limit_req_zone $binary_remote_addr zone={name}:10m rate=1000000r/s;\n  upstream {name} {{ server {origin}; \
             keepalive 64; keepalive_requests 100000000; }}\n"
        ));
        servers.push_str(&format!(
            "  server {{
    listen {tls} ssl;
    server_name {host} {www};
    add_header X-Request-ID $request_id always;
{fields}    location / {{ limit_req zone={name} burst=100000 nodelay; proxy_pass http://{name}; }}
    location /api/ {{
      limit_req zone={name} burst=100000 nodelay;
      limit_req zone=api burst=100000 nodelay;
      proxy_pass http://{name};
    }}
    location /static/ {{ proxy_pass http://{name}; }}
    location /admin/ {{
      allow 127.0.0.0/8;
      deny all;
      limit_req zone={name} burst=100000 nodelay;
      proxy_pass http://{name};
    }}
    location /old/ {{ rewrite ^/old/(.*)$ /new/$1 permanent; }}
  }}
"
        ));
    }
    (zones, servers)
}

/// Hash tables of a size for so many names, then servers.
fn crowd(setting: &Setting, count: usize, fields: &str) -> (String, String) {
    let hash = "  server_names_hash_max_size 65536;\n  server_names_hash_bucket_size 128;\n".to_owned();
    let server = |number| {
        let ([cert, key, _], host) = (sites::files_of(setting.crowd, number), sites::of_crowd(number));
        format!(
            "  server {{
    listen {} ssl;
    server_name {host};
    ssl_certificate {cert};
    ssl_certificate_key {key};
    add_header X-Request-ID $request_id always;
{fields}    location / {{ proxy_pass http://app; }}
  }}
",
            setting.tls
        )
    };
    (hash, (0..count).map(server).collect())
}

/// `http2 on` came with 1.25.1; before, it is a word of `listen`.
fn http2_directive(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    [(); 3].map(|()| numbers.next().unwrap_or(0)) >= [1, 25, 1]
}
