//! What a probe says of itself, what it expects, and what the gate says when an app does not know the proxy yet.

use crate::support::wire::Head;
use crate::support::{Edge, Origin, Setup, Then, colors, wait_until};

const PROBED: &str = "path = \"/probed\"";

/// Answers probes with this head and an empty body.
fn probed(origin: &Origin, status: &'static str, fields: &'static str) {
    origin.on("/probed", move |_, wire| {
        wire.send(format!("HTTP/1.1 {status}\r\n{fields}Content-Length: 0\r\n\r\n"));
        Then::Keep
    });
}

/// The head of a probe.
fn probe(health: &str) -> (Head, Origin) {
    let origin = Origin::start("it");
    probed(&origin, "200 OK", "");
    let edge = Setup::to(&origin).health(PROBED).health(health).start();
    let head = origin.saw("/probed").head;
    drop(edge);
    (head, origin)
}

#[test]
fn a_probe_says_that_its_client_came_over_https() {
    let (head, origin) = probe("");
    assert_eq!(head.all("x-forwarded-proto"), ["https"]);
    assert_eq!(head.all("host"), [origin.backend()]);
    assert!(head.get("user-agent").unwrap().starts_with("edgectl-health/"));
}

#[test]
fn send_headers_adds_changes_and_removes_fields_of_a_probe() {
    let health = "host = \"app.test\"\n\
                  send_headers = { X-Forwarded-Proto = \"http\", X-Probe-Key = \"secret\", Accept = false }";
    let (head, _) = probe(health);
    assert_eq!(head.all("x-forwarded-proto"), ["http"]);
    assert_eq!(head.all("x-probe-key"), ["secret"]);
    assert_eq!((head.get("accept"), head.all("host")), (None, vec!["app.test"]));
}

/// What the gate says of a green that answers its probes so.
fn refused(status: &'static str, fields: &'static str, health: &str) -> String {
    let (blue, green) = colors();
    probed(&blue, "200 OK", "");
    probed(&green, status, fields);
    let edge = Setup::colors(&blue, &green).health(PROBED).health(health).start();
    let ran = edge.admin(&["switch", "green", "--timeout", "1s"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    ran.stderr
}

#[test]
fn the_gate_says_what_to_set_when_an_app_redirects_to_https() {
    let said = refused("301 Moved Permanently", "Location: https://app-green:8000/probed\r\n", "");
    assert!(said.contains("got 301 to \"https://app-green:8000/probed\""), "{said}");
    for word in ["SECURE_SSL_REDIRECT", "SECURE_PROXY_SSL_HEADER", "health.send_headers"] {
        assert!(said.contains(word), "no {word} in {said}");
    }
    let said = refused("302 Found", "Location: /login\r\n", "");
    assert!(said.contains("got 302 to \"/login\"") && said.contains("health.path"), "{said}");
}

#[test]
fn the_gate_says_what_to_set_when_an_app_refuses_the_host() {
    let said = refused("400 Bad Request", "", "");
    for word in ["got 400", "ALLOWED_HOSTS", "health.host", "127.0.0.1:"] {
        assert!(said.contains(word), "no {word} in {said}");
    }
    let said = refused("400 Bad Request", "", "host = \"shop.test\"");
    assert!(said.contains("\"shop.test\""), "{said}");
}

/// Blue, and a green that says it is `green_is`; both answer their probes with what they are.
fn telling(green_is: &'static str, health: &str) -> (Origin, Origin, Edge) {
    let (blue, green) = colors();
    for (origin, is) in [(&blue, "blue"), (&green, green_is)] {
        origin.on("/probed", move |_, wire| {
            let body = format!("color: {is};");
            let length = body.len();
            wire.send(format!("HTTP/1.1 200 OK\r\nX-App-Color: {is}\r\nContent-Length: {length}\r\n\r\n{body}"));
            Then::Keep
        });
    }
    let edge = Setup::colors(&blue, &green).health(PROBED).health(health).start();
    (blue, green, edge)
}

#[test]
fn a_backend_that_says_it_is_the_other_colour_does_not_pass() {
    let rows = [
        ("expect_header = { X-App-Color = \"$color\" }", "its x-app-color is \"blue\", not \"green\""),
        ("body = \"color: $color;\"", "its body does not contain \"color: green;\""),
    ];
    for (health, what) in rows {
        let (_blue, _green, edge) = telling("green", health);
        edge.admin(&["switch", "green"]).ok();
        let (_blue, _green, edge) = telling("blue", health);
        wait_until("blue to serve", || edge.get("/").status == 200);
        let ran = edge.admin(&["switch", "green", "--timeout", "1s"]);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.stderr.contains(what), "{ran:?}");
        assert_eq!(edge.status()["pools"][1]["backends"][0]["up"], false);
    }
}
