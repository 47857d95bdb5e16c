//! A site's paths: the most specific route answers, whatever the order, and no other spelling of a path gets past a rule.

use crate::support::{Origin, Setup};

#[test]
fn the_most_specific_route_wins_whatever_the_order() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin)
        .and(
            "[[site.route]]\npath = \"/a/\"\nrespond = { status = 201, body = \"a\" }\n\
             [[site.route]]\npath = \"/a/b/\"\nrespond = { status = 202, body = \"b\" }\n\
             [[site.route]]\npath = \"=/a/b/c\"\nrespond = { status = 203, body = \"c\" }\n",
        )
        .start();
    for (path, status) in
        [("/a", 201), ("/a/", 201), ("/a/x", 201), ("/a/b/x", 202), ("/a/b/c", 203), ("/a/b/c/", 202), ("/ab", 200)]
    {
        assert_eq!(edge.tls("app.test").get(path).status, status, "{path}");
    }
    assert_eq!(edge.tls("app.test").get("/a/b/c").text(), "c");
    assert_eq!(origin.count("/ab"), 1);
}

#[test]
fn no_other_spelling_of_a_path_gets_past_a_rule() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).and("[[site.route]]\npath = \"/admin/\"\nallow = [\"192.0.2.0/24\"]\n").start();
    for path in ["/admin/", "/admin", "/%61dmin/", "//admin/", "/x/../admin/", "/x/%2e%2e/admin/", "/./admin/x"] {
        assert_eq!(edge.tls("app.test").get(path).status, 403, "{path}");
    }
    for path in ["/..", "/%00", "/%zz", "/admin%2Fx"] {
        assert_eq!(edge.tls("app.test").get(path).status, 400, "{path}");
    }
    assert_eq!(edge.tls("app.test").get("/administrator").status, 200);
    assert!(origin.seen().iter().all(|seen| !seen.head.raw.contains("dmin/")), "nothing of /admin/ was passed on");
}

#[test]
fn redirects_carry_the_rest_of_the_path_and_keep_the_method() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin)
        .and(
            "[[site.route]]\npath = \"/old/\"\nredirect = { to = \"/new/\", status = 308 }\n\
             [[site.route]]\npath = \"/away/\"\nredirect = { to = \"https://example.com/\", status = 302 }\n",
        )
        .start();
    let answer = edge.tls("app.test").get("/old/page%20one?x=1");
    assert_eq!((answer.status, answer.get("location")), (308, Some("/new/page%20one?x=1")));
    let answer = edge.tls("app.test").get("/away/");
    assert_eq!((answer.status, answer.get("location")), (302, Some("https://example.com/")));
    let mut plain = edge.plain();
    plain.send("POST /form HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(plain.answer().status, 308, "a POST stays a POST on its way to TLS");
}

#[test]
fn other_hosts_are_sent_to_the_canonical_one() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin)
        .and(
            "[[site]]\nhosts = [\"www.shop.test\", \"shop.test\"]\ncanonical_host = \"shop.test\"\nservice = \"app\"\n",
        )
        .start();
    let port = edge.https().port();
    let mut www = edge.tls("www.shop.test");
    www.send(format!("GET /x?y HTTP/1.1\r\nHost: www.shop.test:{port}\r\n\r\n"));
    let answer = www.answer();
    assert_eq!((answer.status, answer.get("location")), (301, Some(&*format!("https://shop.test:{port}/x?y"))));
    assert_eq!(edge.tls("shop.test").get("/").status, 200);
}

#[test]
fn a_table_of_headers_changes_the_preset() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin)
        .site("headers = \"mine\"\nhsts = \"off\"")
        .and(
            "[headers.mine]\nbase = \"secure\"\nContent-Security-Policy = \"default-src 'self'\"\nX-Frame-Options = false\n\
             [[site]]\nhosts = [\"strict.test\"]\nheaders = \"strict\"\nservice = \"app\"\n\
             [[site]]\nhosts = [\"off.test\"]\nheaders = \"off\"\nservice = \"app\"\n",
        )
        .start();
    let mine = edge.tls("app.test").get("/");
    assert_eq!(mine.get("content-security-policy"), Some("default-src 'self'"));
    assert_eq!((mine.get("x-frame-options"), mine.get("strict-transport-security")), (None, None));
    assert_eq!(mine.get("x-content-type-options"), Some("nosniff"));
    let strict = edge.tls("strict.test").get("/");
    assert_eq!(strict.get("x-frame-options"), Some("DENY"));
    assert_eq!(strict.get("strict-transport-security"), Some("max-age=31536000"));
    let off = edge.tls("off.test").get("/");
    assert_eq!((off.get("x-frame-options"), off.get("x-request-id").is_some()), (None, true));
}

#[test]
fn methods_that_a_route_does_not_take_get_405_with_those_it_does() {
    let origin = Origin::start("blue");
    let routes =
        "[[site.route]]\npath = \"/admin/\"\nmethods = [\"POST\"]\n[[site.route]]\npath = \"/all/\"\nmethods = []";
    let edge = Setup::to(&origin).site("methods = [\"GET\"]").and(routes).start();
    let ask = |method: &str, path: &str| edge.tls("app.test").ask(method, path, "Content-Length: 0\r\n", "");
    for (method, path, status, allow) in [
        ("GET", "/", 200, None),
        ("HEAD", "/", 200, None),
        ("POST", "/", 405, Some("GET, HEAD")),
        ("OPTIONS", "/", 405, Some("GET, HEAD")),
        ("PROPFIND", "/", 405, Some("GET, HEAD")),
        ("get", "/", 405, Some("GET, HEAD")),
        ("POST", "/admin/x", 200, None),
        ("GET", "/admin/x", 405, Some("POST")),
        ("GET", "/%61dmin/x", 405, Some("POST")),
        ("GET", "/x/../admin/x", 405, Some("POST")),
        ("PUT", "/all/x", 200, None),
        ("TRACE", "/all/x", 405, Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
    ] {
        let answer = ask(method, path);
        assert_eq!((answer.status, answer.get("allow")), (status, allow), "{method} {path}");
    }
    assert_eq!(edge.tls("app.test").ask("GET", "/admin%2fx", "", "").status, 400, "servers read it in two ways");
    let mut client = edge.h2("app.test");
    let answer = client.ask(client.request("DELETE", "/"), &[], None).unwrap();
    assert_eq!((answer.status, answer.get("allow")), (405, Some("GET, HEAD")));
    assert_eq!(edge.logged(answer.get("x-request-id").unwrap())["error"], "method_not_allowed");
}
