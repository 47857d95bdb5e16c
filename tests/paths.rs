//! What is judged is what is sent: no spelling of a path passes a rule that its backend would have met.

mod servers;
mod spellings;

use crate::support::{Client, Edge, Origin, Setup};
use spellings::{READERS, is_under_admin, spellings};

/// The target that the backend was asked for, if it was.
fn sent(edge: &Edge, client: &mut Client, origin: &Origin, path: &str) -> Option<String> {
    let before = origin.seen().len();
    let answer = client.get(path);
    let seen = origin.seen();
    assert!(answer.status == 200 || matches!(answer.status, 400 | 403), "{path}: {}", answer.status);
    assert_eq!(seen.len() - before, usize::from(answer.status == 200), "{path}");
    if answer.status == 400 {
        *client = edge.plain();
    }
    (answer.status == 200).then(|| seen[before].head.word(1).to_owned())
}

#[test]
fn no_denied_path_is_answered_however_it_is_spelled() {
    let origin = Origin::start("blue");
    let deny = "[[site]]\nhosts = [\"rules.test\"]\ntls = \"off\"\nservice = \"app\"\n\
                [[site.route]]\npath = \"/admin/\"\ndeny = [\"0.0.0.0/0\"]\nservice = \"app\"";
    let edge = Setup::to(&origin).limits("keepalive_requests = 100000").and(deny).start();
    let mut client = Client::connect(edge.http(), "rules.test");
    let spellings = spellings();
    assert!(spellings.len() > 200);
    let mut passed = 0;
    for path in &spellings {
        let before = origin.seen().len();
        let answer = client.get(path);
        if answer.status == 200 {
            passed += 1;
            let target = origin.seen()[before].head.word(1).to_owned();
            for (reader, read) in READERS {
                let path_read = read(&target);
                let is_reached = path_read.as_deref().is_some_and(is_under_admin);
                assert!(
                    !is_reached,
                    "{path} was sent as {target}, which a server that reads it {reader} answers from {path_read:?}"
                );
            }
        } else {
            assert!(matches!(answer.status, 400 | 403), "{path}: {}", answer.status);
            if answer.get("connection") == Some("close") {
                client = Client::connect(edge.http(), "rules.test");
            }
        }
    }
    assert!(passed > 20, "{passed} paths that lead elsewhere still pass");
}

#[test]
fn what_was_resolved_is_sent_and_the_rest_stays_as_it_was_written() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    for (path, target) in [
        ("/a/../b", "/b"),
        ("/a/%2e%2e/b?c=../d", "/b?c=../d"),
        ("/a%20b/./%7Ec//d", "/a%20b/%7Ec/d"),
        ("/a//b", "/a//b"),
        ("/%61;x=1/b%2Fc", "/%61;x=1/b%2Fc"),
        ("/a/.", "/a/"),
        ("/a\\b", "/a\\b"),
    ] {
        assert_eq!(sent(&edge, &mut client, &origin, path).as_deref(), Some(target), "{path}");
        let line = edge.logged_path(path.split('?').next().unwrap());
        assert_eq!(line["status"], 200, "the log shows what came: {line}");
    }
    for path in ["/..", "/a/../../b", "/%2e%2e/a", "/a/..%2f..%2f..%2fb", "/..;/a", "/%00", "/%zz", "/%"] {
        assert_eq!(sent(&edge, &mut client, &origin, path), None, "{path}");
    }
}

#[test]
fn a_stripped_prefix_takes_no_dots_along() {
    let origin = Origin::start("blue");
    let site = "[[site]]\nhosts = [\"rules.test\"]\ntls = \"off\"\nservice = \"app\"\n\
                [[site.route]]\npath = \"/strip/\"\nstrip_prefix = true\nservice = \"app\"\n\
                [[site.route]]\npath = \"/old/\"\nredirect = { to = \"/new/\", status = 301 }";
    let edge = Setup::to(&origin).and(site).start();
    let mut client = Client::connect(edge.http(), "rules.test");
    for (path, target) in [
        ("/strip/x", "/x"),
        ("/strip/../strip/x", "/x"),
        ("/strip/./a%2Fb?c", "/a%2Fb?c"),
        ("/%73trip/%78", "/%78"),
        ("//strip//x", "/x"),
        ("/strip/a/../b", "/b"),
        ("/strip", "/"),
    ] {
        assert_eq!(client.get(path).status, 200, "{path}");
        let head = origin.seen().last().unwrap().head.clone();
        assert_eq!((head.word(1), head.get("x-forwarded-prefix")), (target, Some("/strip")), "{path}");
    }
    for (path, location) in [
        ("/old/a%20b/%2561?c=d", "/new/a%20b/%2561?c=d"),
        ("/old/../old/x", "/new/x"),
        ("/old//evil.test/", "/new/evil.test/"),
    ] {
        assert_eq!(client.get(path).get("location"), Some(location), "{path}");
    }
}

#[test]
fn all_spellings_of_a_path_share_one_bucket() {
    let origin = Origin::start("blue");
    let zone = "[zone.login]\nkey = \"ip+path\"\nrate = \"1r/h\"\nburst = 0";
    let edge = Setup::to(&origin).and(zone).site("limit = [\"login\"]").start();
    let mut client = edge.plain();
    assert_eq!(client.get("/login").status, 200);
    for path in [
        "/login",
        "/%6cogin",
        "//login",
        "/./login",
        "/x/../login",
        "/login;a",
        "/login;b=c",
        "/%2flogin",
        "/%5clogin",
        "/;/login",
    ] {
        assert_eq!(client.get(path).status, 429, "{path}");
    }
    assert_eq!(client.get("/other").status, 200);
}
