//! Pages of other origins: their preflights are answered by the front door, and every answer says who may read it, ours too.

use crate::support::{Answer, Client, Edge, Origin, Setup};

const APP: &str = "https://app.test";

fn origin() -> Origin {
    let origin = Origin::start("blue");
    origin.answers(
        "/own",
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
         Access-Control-Expose-Headers: X-Total\r\nVary: Cookie\r\nContent-Length: 0\r\n\r\n",
    );
    origin
}

fn start(origin: &Origin, cors: &str) -> Edge {
    let routes = "[[site.route]]\npath = \"/admin/\"\ndeny = [\"127.0.0.0/8\"]\n[[site.route]]\npath = \"/off/\"\ncors = { origins = [] }";
    Setup::to(origin).site(&format!("cors = {{ {cors} }}")).and(routes).start()
}

fn ask(client: &mut Client, method: &str, path: &str, origin: &str, more: &str) -> Answer {
    client.ask(method, path, &format!("Origin: {origin}\r\n{more}"), "")
}

fn preflight(edge: &Edge, path: &str, origin: &str) -> Answer {
    let more = "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: content-type,x-key\r\n";
    ask(&mut edge.tls("app.test"), "OPTIONS", path, origin, more)
}

fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.get(&format!("access-control-{name}"))
}

#[test]
fn a_preflight_is_answered_here() {
    let origin = origin();
    let edge = start(&origin, "origins = [\"https://app.test\", \"https://*.pages.test\"], credentials = true");
    for from in [APP, "https://x.pages.test"] {
        let answer = preflight(&edge, "/", from);
        assert_eq!((answer.status, field(&answer, "allow-origin")), (204, Some(from)));
        assert_eq!(field(&answer, "allow-credentials"), Some("true"));
        assert_eq!(field(&answer, "allow-methods"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        assert_eq!(field(&answer, "allow-headers"), Some("content-type,x-key"));
        assert_eq!((field(&answer, "max-age"), answer.get("content-length")), (Some("7200"), None));
        assert_eq!(answer.head.all("vary"), ["access-control-request-headers", "Origin"]);
        assert!(answer.get("x-request-id").is_some() && answer.get("x-content-type-options").is_some());
    }
    for from in ["https://evil.test", "https://app.test.evil.net", "https://appxtest", "http://app.test", "null"] {
        let answer = preflight(&edge, "/", from);
        assert_eq!((answer.status, field(&answer, "allow-origin"), field(&answer, "allow-methods")), (204, None, None));
        assert!(answer.head.all("vary").contains(&"Origin"), "{from}");
    }
    assert_eq!(origin.count("/"), 0, "none of it reached the backend");
    assert_eq!(preflight(&edge, "/admin/", APP).status, 403);
    // What the app answers by itself is the app's.
    assert_eq!(ask(&mut edge.tls("app.test"), "OPTIONS", "/", APP, "").text(), "blue");
    assert_eq!(preflight(&edge, "/off/", APP).text(), "blue");
    let mut client = edge.h2("app.test");
    let request = client.request("OPTIONS", "/").header("origin", APP).header("access-control-request-method", "PUT");
    let answer = client.ask(request, &[], None).unwrap();
    assert_eq!((answer.status, answer.get("access-control-allow-origin")), (204, Some(APP)));
}

#[test]
fn what_is_listed_is_what_a_page_may_do() {
    let origin = origin();
    let lists =
        "methods = [\"PUT\"], headers = [\"X-Key\", \"Authorization\"], expose = [\"X-Page\"], max_age = \"10s\"";
    let edge = start(&origin, &format!("origins = [\"https://app.test\"], {lists}"));
    let answer = preflight(&edge, "/", APP);
    assert_eq!(field(&answer, "allow-methods"), Some("PUT"));
    assert_eq!(
        (field(&answer, "allow-headers"), field(&answer, "max-age")),
        (Some("x-key, authorization"), Some("10"))
    );
    assert_eq!(field(&answer, "allow-credentials"), None);
    assert_eq!(field(&ask(&mut edge.plain(), "GET", "/", APP, ""), "expose-headers"), Some("x-page"));
}

#[test]
fn every_answer_says_it_once_and_ours_say_it_too() {
    let origin = origin();
    let edge = start(&origin, "origins = [\"https://app.test\"], expose = [\"X-Page\"]");
    let answer = ask(&mut edge.tls("app.test"), "GET", "/own", APP, "");
    assert_eq!(answer.head.all("access-control-allow-origin"), [APP]);
    assert_eq!(field(&answer, "allow-credentials"), None, "it is not the app's to say");
    assert_eq!(answer.head.all("access-control-expose-headers"), ["X-Total", "x-page"]);
    assert_eq!(answer.head.all("vary"), ["Cookie", "Origin"]);
    for from in ["https://evil.test", "null"] {
        let answer = ask(&mut edge.tls("app.test"), "GET", "/own", from, "");
        assert_eq!(
            (field(&answer, "allow-origin"), answer.head.all("vary")),
            (None, vec!["Cookie", "Origin"]),
            "{from}"
        );
    }
    assert_eq!(edge.tls("app.test").get("/own").head.all("vary"), ["Cookie", "Origin"], "a cache keeps one for all");
    let refused = ask(&mut edge.tls("app.test"), "GET", "/admin/", APP, "");
    assert_eq!((refused.status, field(&refused, "allow-origin")), (403, Some(APP)));
    let off = ask(&mut edge.tls("app.test"), "GET", "/off/", APP, "");
    assert_eq!((field(&off, "allow-origin"), off.get("vary")), (None, None));
}

#[test]
fn any_origin_is_the_same_answer_for_all() {
    let origin = origin();
    let edge = start(&origin, "origins = [\"*\"]");
    let answer = ask(&mut edge.plain(), "GET", "/", "https://any.test", "");
    assert_eq!((field(&answer, "allow-origin"), answer.get("vary")), (Some("*"), None));
    assert_eq!(field(&edge.get("/"), "allow-origin"), Some("*"));
}
