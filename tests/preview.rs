//! A preview link shows one colour to the client that has it, whichever serves, and changes nothing for other clients.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use edgectl::token::{Preview, Signer};
use edgectl::types::Color;

use crate::support::load::echo;
use crate::support::{Answer, Client, Edge, Origin, Setup, colors, wait_until};

const PRIVATE: &str = "private, no-store";

fn start(blue: &Origin, green: &Origin) -> Edge {
    Setup::colors(blue, green).start()
}

/// The link that is printed and the token in it.
fn mint(edge: &Edge, arguments: &[&str]) -> (String, String) {
    let ran = edge.admin(&[&["preview"], arguments].concat()).ok();
    let url = ran.stdout.trim_end().to_owned();
    let (_, token) = url.split_once("?edge_preview=").unwrap_or_else(|| panic!("{ran:?}"));
    (url.clone(), token.to_owned())
}

/// A request with these cookies.
fn with(mut client: Client, path: &str, cookies: &str) -> Answer {
    client.ask("GET", path, &format!("Cookie: {cookies}\r\n"), "")
}

fn is_preview(answer: &Answer, color: &str) -> bool {
    let private = answer.head.all("cache-control") == [PRIVATE];
    answer.get("x-edge-color") == Some(color) && private
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn the_link_leads_its_client_to_its_colour_and_no_other_client() {
    let (blue, green) = colors();
    green.answers("/cached", "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nContent-Length: 5\r\n\r\ngreen");
    let edge = start(&blue, &green);
    let (url, token) = mint(&edge, &["green", "--ttl", "2h"]);
    assert_eq!(url, format!("http://plain.test:{}/?edge_preview={token}", edge.http().port()));
    assert_eq!(edge.recorded("preview", "preview")["to"], "green");
    let row = edge.admin(&["history"]).ok().stdout.lines().find(|line| line.contains("preview")).unwrap().to_owned();
    assert!(row.contains("green") && !row.contains("blue"), "nothing moved: {row}");
    let to = edge.get(&format!("/cached?edge_preview={token}"));
    assert_eq!((to.status, to.get("location"), to.get("cache-control")), (303, Some("/cached"), Some("no-store")));
    let set = to.get("set-cookie").unwrap().to_owned();
    let (cookie, attributes) = set.split_once("; ").unwrap();
    assert_eq!(cookie, format!("edge_preview_app={token}"));
    let (path, rest) = attributes.split_once("; Max-Age=").unwrap();
    let (age, rest) = rest.split_once("; ").unwrap();
    assert_eq!((path, rest), ("Path=/", "HttpOnly; SameSite=Lax"), "plain http: not Secure");
    assert!((7_100..=7_200).contains(&age.parse::<u32>().unwrap()), "{set}");
    let secure = edge.tls("app.test").get(&format!("/?edge_preview={token}"));
    assert!(secure.get("set-cookie").unwrap().ends_with("; HttpOnly; SameSite=Lax; Secure"), "{:?}", secure.head);
    let seen = with(edge.plain(), "/cached", &format!("a=\"1\"; {cookie};b=2"));
    assert_eq!(seen.text(), "green");
    assert!(is_preview(&seen, "green"), "{:?}", seen.head);
    assert_eq!(green.saw("/cached").head.get("cookie"), Some("a=\"1\";b=2"), "our cookie does not reach the backend");
    let other = edge.get("/");
    assert_eq!((other.text().as_str(), other.get("x-edge-color"), other.get("cache-control")), ("blue", None, None));
    edge.admin(&["switch", "green", "--force", "--no-wait"]).ok();
    let (_, blue_token) = mint(&edge, &["blue", "app"]);
    assert_eq!(with(edge.plain(), "/", &format!("edge_preview_app={blue_token}")).text(), "blue");
    assert_eq!(edge.get("/").text(), "green");
}

#[test]
fn the_token_reaches_neither_the_backend_nor_the_log() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let (_, token) = mint(&edge, &["green"]);
    let to = edge.get(&format!("/a%20b?x=%41&&edge_preview={token}&y=+"));
    assert_eq!(to.get("location"), Some("/a%20b?x=%41&&y=+"));
    assert_eq!(edge.get(&format!("//evil.test/?edge_preview={token}")).get("location"), Some("/.//evil.test/"));
    let posted = edge.plain().post(&format!("/echo?edge_preview={token}&z=1"), "hello");
    assert_eq!(posted.text(), "hello");
    assert!(is_preview(&posted, "green"), "{:?}", posted.head);
    assert_eq!(green.saw("/echo").head.word(1), "/echo?z=1");
    let fields = format!("Referer: http://plain.test/?edge_preview={token}\r\nCookie: edge_preview_app={token}\r\n");
    let last = edge.plain().ask("GET", "/last", &fields, "");
    edge.logged(last.id());
    let log = std::fs::read_to_string(edge.path("access.log")).unwrap();
    assert!(!log.contains(&token), "{log}");
    assert_eq!(edge.logged(posted.id())["color"], "green");
}

#[test]
fn a_token_that_is_forged_expired_or_of_another_service_is_ignored() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let (_, token) = mint(&edge, &["green"]);
    let signer = Signer::open(&edge.path("state")).unwrap();
    let made = |service, expires| Preview { color: Color::Green, expires }.token(&signer, service);
    let last = token.chars().last().unwrap();
    let forged = format!("{}{}", &token[..token.len() - 1], if last == '0' { '1' } else { '0' });
    for wrong in [made("app", unix_now() - 1), made("shop", unix_now() + 60), forged, String::new()] {
        let answer = edge.get(&format!("/?edge_preview={wrong}&x=1"));
        assert_eq!((answer.status, answer.text().as_str(), answer.get("set-cookie")), (200, "blue", None), "{wrong}");
        assert_eq!(blue.saw("/").head.word(1), "/?x=1");
        let answer = with(edge.plain(), "/", &format!("edge_preview_app={wrong}"));
        assert_eq!((answer.text().as_str(), answer.get("x-edge-color")), ("blue", None), "{wrong}");
        assert_eq!(blue.saw("/").head.get("cookie"), None);
    }
    assert_eq!(with(edge.plain(), "/", &format!("edge_preview_app={}", made("app", unix_now() + 60))).text(), "green");
    let both = format!("edge_preview_app=green.1.x; edge_preview_app={token}");
    assert_eq!(with(edge.plain(), "/", &both).text(), "green", "a forged token does not hide the true one");
}

#[test]
fn a_preview_ends_when_it_expires() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let (_, token) = mint(&edge, &["green", "--ttl", "2s"]);
    let cookie = format!("edge_preview_app={token}");
    wait_until("the end of the preview", || with(edge.plain(), "/", &cookie).text() == "blue");
    let (color, expires) = token.split_once('.').unwrap();
    let expires: u64 = expires.split_once('.').unwrap().0.parse().unwrap();
    assert_eq!((color, unix_now() >= expires), ("green", true), "it does not end too early");
}

#[test]
fn the_proxys_own_answers_to_a_preview_are_marked_too() {
    let (blue, green) = colors();
    green.answers("/there", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
    let edge = start(&blue, &green);
    let (_, token) = mint(&edge, &["green"]);
    let cookie = format!("edge_preview_app={token}");
    let there = with(edge.plain(), "/there", &cookie);
    assert_eq!((there.status, is_preview(&there, "green")), (302, true), "{:?}", there.head);
    green.stop();
    let down = with(edge.plain(), "/", &cookie);
    assert!(down.status >= 502 && is_preview(&down, "green"), "{:?}", down.head);
    assert_eq!(edge.get("/").status, 200);
}

#[test]
fn a_preview_holds_over_http_2_and_websockets() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let (_, token) = mint(&edge, &["green"]);
    let mut h2 = edge.h2("app.test");
    let crumbs =
        h2.request("GET", "/crumbs").header("cookie", "a=1").header("cookie", format!("edge_preview_app={token}"));
    let answer = h2.ask(crumbs.header("cookie", "b=2"), b"", None).unwrap();
    assert_eq!((answer.text().as_str(), answer.get("x-edge-color")), ("green", Some("green")));
    assert_eq!(green.saw("/crumbs").head.get("cookie"), Some("a=1; b=2"));
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (path, fields) in [
        ("/ws".to_owned(), format!("Cookie: edge_preview_app={token}\r\n")),
        (format!("/ws?edge_preview={token}"), String::new()),
    ] {
        let mut client = edge.plain();
        client.begin("GET", &path, &format!("{upgrade}{fields}"));
        let head = client.head().unwrap();
        assert_eq!(
            (head.word(1), head.get("x-color"), head.get("x-edge-color")),
            ("101", Some("green"), Some("green"))
        );
        echo(&mut client, "hello").unwrap();
    }
}

#[test]
fn a_preview_survives_a_restart() {
    let (blue, green) = colors();
    let mut edge = start(&blue, &green);
    let (_, token) = mint(&edge, &["green", "--ttl", "30d"]);
    edge.kill();
    edge.start_again();
    assert_eq!(with(edge.plain(), "/", &format!("edge_preview_app={token}")).text(), "green");
}

#[test]
fn a_trusted_proxy_says_whether_the_client_came_over_tls() {
    let (blue, green) = colors();
    let edge = Setup::colors(&blue, &green).server("trusted_proxies = [\"127.0.0.0/8\"]").start();
    let (_, token) = mint(&edge, &["green"]);
    let set = |fields: &str| {
        let answer = edge.plain().ask("GET", &format!("/?edge_preview={token}"), fields, "");
        answer.get("set-cookie").unwrap().to_owned()
    };
    assert!(set("X-Forwarded-Proto: https\r\n").ends_with("; Secure"));
    assert!(!set("X-Forwarded-Proto: http\r\n").contains("Secure"));
    assert!(!set("").contains("Secure"));
}

#[test]
fn our_cookies_never_reach_a_backend_even_when_no_feature_reads_them() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let cookies = "edge_canary_other=1.2.x; sid=\"a b\"; edge_sticky_app=0; edge_mine=1; edge_preview_shop=y";
    assert_eq!(with(edge.plain(), "/some", cookies).get("set-cookie"), None);
    assert_eq!(blue.saw("/some").head.get("cookie"), Some("sid=\"a b\"; edge_mine=1"));
    with(edge.plain(), "/none", "edge_canary_app=1");
    assert_eq!(blue.saw("/none").head.get("cookie"), None);
    with(edge.plain(), "/all", "a=1;b;  c=edge_x=2");
    assert_eq!(blue.saw("/all").head.get("cookie"), Some("a=1;b;  c=edge_x=2"));
}

#[test]
fn an_impossible_preview_is_refused_and_changes_nothing() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    for (arguments, why) in [
        (&["preview", "red"][..], "\"red\""),
        (&["preview", "green", "--ttl", "31d"], "1s to 30d"),
        (&["preview", "green", "shop"], "no service is called"),
    ] {
        let ran = edge.admin(arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
    assert_eq!(edge.status()["generation"], 1);
    let link = edge.admin(&["preview", "green", "--json"]).ok().json();
    assert_eq!((&link["color"], &link["service"]), (&"green".into(), &"app".into()));
    assert!(link["others"][0].as_str().unwrap().starts_with("https://app.test:"), "{link}");
    let now = Duration::from_secs(unix_now());
    let expires: jiff::Timestamp = link["expires"].as_str().unwrap().parse().unwrap();
    let left = expires.as_second() - i64::try_from(now.as_secs()).unwrap();
    assert!((3_590..=3_600).contains(&left), "{link}");
}
