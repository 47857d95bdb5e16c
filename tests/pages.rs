//! Our own answers come in the form that their client reads, with the operator's pages where there are any.

use std::fs;

use crate::support::edge::replace;
use crate::support::load::open_websocket;
use crate::support::{Answer, Edge, Origin, Setup, Then, wait_until};

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

/// The reason of an answer that is 502 because the backend goes away.
const GONE: &str = "/gone";

fn origin() -> Origin {
    let origin = Origin::start("blue");
    origin.on(GONE, |_, _| Then::Close);
    origin.answers(
        "/app/502",
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nETag: \"1\"\r\n\
         Cache-Control: public, max-age=600\r\nRetry-After: 7\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nVary: Origin\r\n\
         Access-Control-Allow-Origin: https://x.test\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\n{}",
    );
    origin.answers(
        "/app/401",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 3\r\n\r\nno!",
    );
    origin.answers("/app/404", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nits words");
    origin
}

/// An edge with a folder of pages for both its sites.
fn with_pages(origin: &Origin, lines: &str) -> Edge {
    let setup = Setup::to(origin).service("retries = 0");
    let folder = setup.path("pages");
    fs::create_dir(&folder).unwrap();
    for (name, text) in [
        ("50x.html", "<title>our $status</title>$message ($request_id), $5"),
        ("401.html", "our door"),
        ("maintenance.html", "we are back soon: $message"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    setup.site(&format!("errors = \"{}\"\n{lines}", folder.display())).start()
}

fn browse(edge: &Edge, path: &str) -> Answer {
    edge.plain().ask("GET", path, BROWSER, "")
}

fn kind(answer: &Answer) -> &str {
    answer.get("content-type").unwrap()
}

#[test]
fn html_is_for_who_names_it_and_no_cache_keeps_any_form() {
    let origin = origin();
    let edge = Setup::to(&origin).service("retries = 0").start();
    for (accept, expected) in [
        (BROWSER, "text/html; charset=utf-8"),
        ("Accept: application/json\r\n", "application/problem+json"),
        ("Accept: */*\r\n", "text/plain; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
        ("Accept: text/html;q=0\r\n", "text/plain; charset=utf-8"),
    ] {
        let answer = edge.plain().ask("GET", GONE, accept, "");
        assert_eq!((answer.status, kind(&answer)), (502, expected), "{accept}");
        assert_eq!((answer.get("cache-control"), answer.get("vary")), (Some("no-store"), Some("Accept")), "{accept}");
        assert!(answer.text().contains("closed the connection without an answer"), "{}", answer.text());
        assert!(
            answer.text().contains(answer.id()) && !answer.text().to_lowercase().contains("edgectl"),
            "{}",
            answer.text()
        );
        let head = edge.plain().ask("HEAD", GONE, accept, "");
        assert_eq!((head.get("content-length"), head.body.len()), (answer.get("content-length"), 0), "{accept}");
    }
    let mut client = edge.h2("app.test");
    let answer = client.ask(client.request("GET", GONE).header("accept", "text/html"), &[], None).unwrap();
    assert_eq!((answer.status, answer.get("content-type")), (502, Some("text/html; charset=utf-8")));
    assert!(answer.text().contains("color-scheme") && !answer.text().contains("<style"), "{}", answer.text());
}

#[test]
fn the_operators_pages_are_for_browsers_and_filled_in() {
    let origin = origin();
    let edge = with_pages(&origin, "");
    let answer = browse(&edge, GONE);
    let expected =
        format!("<title>our 502</title>the backend closed the connection without an answer ({}), $5", answer.id());
    assert_eq!((answer.status, answer.text()), (502, expected));
    assert_eq!(edge.logged(answer.id())["error"], "upstream_reset");
    assert_eq!(kind(&edge.get(GONE)), "text/plain; charset=utf-8");
    let head = edge.plain().ask("HEAD", GONE, BROWSER, "");
    assert_eq!((head.status, head.body.len()), (502, 0));
    // What the backend says is the backend's.
    let answer = browse(&edge, "/app/404");
    assert_eq!((answer.status, answer.text().as_str(), answer.get("cache-control")), (404, "its words", None));
    edge.admin(&["maintenance", "on", "--message", "a <b>new</b> $status"]).ok();
    let answer = browse(&edge, "/");
    assert_eq!(answer.text(), "we are back soon: a &lt;b&gt;new&lt;/b&gt; $status");
    assert_eq!((answer.status, answer.get("retry-after")), (503, Some("30")));
}

#[test]
fn a_backends_answer_gets_a_page_where_that_is_asked_for() {
    let origin = origin();
    let edge = with_pages(&origin, "errors_intercept = [401, 502]");
    let answer = browse(&edge, "/app/502");
    assert!(answer.text().starts_with("<title>our 502</title>the server could not answer"), "{}", answer.text());
    for gone in ["content-encoding", "etag", "x-own"] {
        assert_eq!(answer.get(gone), None, "{gone}");
    }
    assert_eq!((answer.get("retry-after"), answer.get("cache-control")), (Some("7"), Some("no-store")));
    assert_eq!(answer.get("access-control-allow-origin"), Some("https://x.test"));
    let cookies: Vec<_> = answer.head.all("set-cookie");
    assert_eq!(cookies, ["a=b", "c=d"]);
    let vary: Vec<_> = answer.head.all("vary");
    assert_eq!(vary, ["Origin", "Accept"]);
    let line = edge.logged(answer.id());
    assert_eq!(
        (&line["status"], &line["error"]),
        (&502.into(), &serde_json::Value::Null),
        "it is the backend's: {line}"
    );
    let answer = browse(&edge, "/app/401");
    assert_eq!((answer.text().as_str(), answer.get("www-authenticate")), ("our door", Some("Basic realm=\"x\"")));
    let json = edge.plain().ask("GET", "/app/502", "Accept: application/json\r\n", "");
    let problem: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&502.into(), &"intercepted".into()));
    assert_eq!(browse(&edge, "/app/404").text(), "its words");
    assert_eq!(browse(&edge, "/").text(), "blue");
    let mut client = edge.h2("app.test");
    let answer = client.ask(client.request("GET", "/app/502").header("accept", "text/html"), &[], None).unwrap();
    assert!(answer.text().starts_with("<title>our 502</title>"), "{}", answer.text());
    let head = edge.plain().ask("HEAD", "/app/502", BROWSER, "");
    assert_eq!((head.status, head.body.len()), (502, 0));
}

#[test]
fn a_grpc_call_is_refused_in_its_own_terms() {
    let origin = origin();
    let edge = with_pages(&origin, "errors_intercept = [502]");
    let mut client = edge.h2("app.test");
    for (path, message) in
        [(GONE, "the backend closed the connection without an answer"), ("/app/502", "the server could not answer")]
    {
        let call =
            client.request("POST", path).header("content-type", "application/grpc+proto").header("te", "trailers");
        let answer = client.ask(call, &[], None).unwrap();
        assert_eq!((answer.status, answer.get("content-type")), (200, Some("application/grpc+proto")), "{path}");
        assert_eq!((answer.get("grpc-status"), answer.get("grpc-message")), (Some("14"), Some(message)));
        assert!(answer.body.is_empty());
        assert_eq!(edge.logged(answer.get("x-request-id").unwrap())["status"], 502, "the log has what happened");
    }
    assert!(
        edge.metric(
            "edge_http_requests_total{site=\"app.test\",service=\"app\",color=\"\",method=\"POST\",code=\"502\"}"
        ) >= 2.0
    );
}

#[test]
fn a_refused_handshake_gets_its_status_and_no_page() {
    let origin = origin();
    let edge = with_pages(&origin, "deny = [\"127.0.0.0/8\"]");
    assert!(open_websocket(edge.http()).is_err());
    let asks = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = edge.plain().ask("GET", "/", asks, "");
    assert_eq!((answer.status, kind(&answer)), (403, "text/plain; charset=utf-8"));
}

#[test]
fn pages_that_change_appear_or_go_are_taken_up_and_mistakes_are_named() {
    let origin = origin();
    let edge = with_pages(&origin, "");
    let page = |name: &str| edge.path("pages").join(name);
    replace(&page("50x.html"), "another");
    wait_until("the new text", || browse(&edge, GONE).text() == "another");
    fs::write(page("502.html"), "its own").unwrap();
    wait_until("the new page", || browse(&edge, GONE).text() == "its own");
    fs::remove_file(page("502.html")).unwrap();
    wait_until("the page for all of them", || browse(&edge, GONE).text() == "another");
    let told = edge.admin(&["reload"]).ok().stdout;
    assert!(told.contains("502.html changed"), "{told}");
    // A page that can't be used: what runs goes on.
    fs::write(page("502.html"), [0xff, 0xfe]).unwrap();
    edge.said("502.html");
    let ran = edge.admin(&["reload"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("site.errors: cannot read") && ran.stderr.contains("502.html"), "{}", ran.stderr);
    assert_eq!(browse(&edge, GONE).text(), "another");
    fs::write(page("502.html"), "mended").unwrap();
    wait_until("the mended page", || browse(&edge, GONE).text() == "mended");
    for name in ["50x.html", "502.html", "401.html", "maintenance.html"] {
        fs::remove_file(page(name)).unwrap();
    }
    let ran = edge.admin(&["reload"]);
    assert!(ran.stderr.contains("there is no page in") && ran.stderr.contains("404.html"), "{}", ran.stderr);
}

#[test]
fn a_route_has_pages_of_its_own_or_the_built_in_one() {
    let origin = origin();
    let setup = Setup::to(&origin).service("retries = 0");
    let folder = setup.path("pages");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("50x.html"), "the site's").unwrap();
    let lines = format!("errors = \"{}\"\nerrors_intercept = [404]", folder.display());
    let route = "[[site.route]]\npath = \"/app/\"\nerrors = \"\"\nerrors_intercept = []";
    let edge = setup.site(&lines).and(route).start();
    let ask = |path| edge.tls("app.test").ask("GET", path, BROWSER, "");
    assert_eq!(ask(GONE).text(), "the site's");
    assert_eq!(ask("/app/404").text(), "its words");
    let check = edge.command(&["check"]).arg(edge.path("edge.toml")).arg("--json").output().unwrap();
    let check: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    let routes = check["config"]["sites"].as_array().unwrap().iter().find(|site| site["name"] == "app.test").unwrap();
    assert_eq!(routes["routes"][0]["errors"], serde_json::Value::Null);
    assert_eq!(routes["routes"][1]["errors_intercept"], serde_json::json!([404]), "{routes}");
}
