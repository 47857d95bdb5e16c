//! Authorities that want early renewals, refuse, stall and answer nonsense: a failure costs little, is reported, and harms no other
//! site.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::support::certs::{certificate, eventually, issued, kept, private, shown};
use crate::support::tools::is_there;
use crate::support::wait::wait_for_start;
use crate::support::{Authority, Edge, Instead, Origin, Setup};

const SITE: &str = "[[site]]\nhosts = [\"shop.example\", \"www.shop.example\"]\nservice = \"app\"\n";

fn start(setup: Setup, ca: &Authority, lines: &str) -> Edge {
    setup.server(&ca.resolvers()).and(&ca.section(lines)).and(SITE).start()
}

fn with(origin: &Origin) -> (Setup, Authority) {
    let setup = Setup::to(origin);
    let ca = Authority::start(&setup.place);
    (setup, ca)
}

/// The last error in the status.
fn error(edge: &Edge) -> String {
    eventually("an error", edge, || certificate(edge, "shop.example")["error"].as_str().map(str::to_owned))
}

/// Seconds until the next attempt.
fn wait(edge: &Edge) -> i64 {
    let next: Timestamp = certificate(edge, "shop.example")["next_renewal"].as_str().unwrap().parse().unwrap();
    next.duration_since(Timestamp::now()).as_secs()
}

#[test]
fn the_authoritys_window_decides_and_the_order_says_what_it_replaces() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    // The first certificate is to be replaced at once, as after a mass revocation; the second in a day.
    ca.windows(&[(-7200, -3600), (86_400, 90_000)]);
    let edge = start(setup, &ca, "");
    eventually("the renewal", &edge, || (ca.issued() == 2).then_some(()));
    let orders = ca.orders();
    assert_eq!(orders[0]["replaces"], Value::Null);
    assert!(
        orders[1]["replaces"].as_str().and_then(|id| id.split_once('.')).is_some_and(|(_, serial)| serial == "AQ"),
        "{}",
        orders[1]
    );
    eventually("the second window", &edge, || (86_000..90_001).contains(&wait(&edge)).then_some(()));
    assert_eq!(shown(&edge, "shop.example").serial, "02");
    assert!(kept(&edge, "meta.json").unwrap()["window"].is_object());
}

#[test]
fn a_window_that_is_always_over_is_followed_once() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.windows(&[(-7200, -3600)]);
    let edge = start(setup, &ca, "");
    edge.said("the internal CA's stands in");
    eventually("the pause", &edge, || (86_000..90_001).contains(&wait(&edge)).then_some(()));
    assert_eq!(ca.issued(), 2);
}

#[test]
fn without_a_window_a_certificate_is_renewed_at_two_thirds_of_its_life() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.lifetimes(&[Duration::from_secs(12), Duration::from_hours(6 * 24)]);
    let edge = start(setup, &ca, "");
    let first = issued(&edge, "shop.example");
    let second = eventually("the renewal", &edge, || Some(shown(&edge, "shop.example")).filter(|now| *now != first));
    assert_ne!(first.key, second.key);
    let days = Duration::from_secs(wait(&edge).try_into().unwrap()).as_secs_f64() / 86_400.0;
    assert!((3.7..4.01).contains(&days), "six days, renewed after {days}");
    let meta = kept(&edge, "meta.json").unwrap();
    let [first, second] = ["previous", "issued"].map(|key| meta[key].as_str().unwrap().parse::<Timestamp>().unwrap());
    let seconds = second.duration_since(first).as_secs_f64();
    // Counted from the whole second before the first was issued; on a busy machine it takes longer.
    assert!((6.0..30.0).contains(&seconds), "twelve seconds, renewed after {seconds}");
    assert_eq!(ca.accounts(), 1);
}

#[test]
fn a_profile_is_asked_for_and_must_be_known() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    let edge = start(setup, &ca, "profile = \"shortlived\"");
    assert!(error(&edge).contains("acme.profile \"shortlived\" is none of the authority's: it has none"));
    let (setup, ca) = with(&origin);
    ca.profiles(&["classic", "shortlived"]);
    let edge = start(setup, &ca, "profile = \"shortlived\"");
    issued(&edge, "shop.example");
    assert_eq!(ca.orders()[0]["profile"], "shortlived");
}

#[test]
fn retry_after_holds_over_restarts() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.mood("/order", 1, Instead::Problem(429, "rateLimited", Some("7200".to_owned())));
    let mut edge = start(setup, &ca, "");
    assert_eq!(error(&edge), "rateLimited: as the test wants it");
    assert!((7000..7400).contains(&wait(&edge)), "{}", wait(&edge));
    edge.kill();
    edge.start_again();
    assert!((7000..7400).contains(&wait(&edge)), "a crash loop burns nothing: {}", wait(&edge));
    assert!(ca.orders().is_empty());
    assert!(edge.metric("edge_acme_failures_total{host=\"shop.example\"}") >= 0.0);
    edge.admin(&["certs", "renew", "shop.example"]).ok();
    assert_eq!(certificate(&edge, "shop.example")["error"], Value::Null);
}

#[test]
fn an_authority_in_trouble_is_tried_again_and_harms_no_other_site() {
    let origin = Origin::start("blue");
    for (path, instead, told) in [
        ("/directory", Instead::Nonsense(200), "makes no sense"),
        ("/account", Instead::Problem(500, "serverInternal", None), "serverInternal"),
        ("/order", Instead::Nonsense(503), "503"),
        ("/authz", Instead::Nonsense(200), "makes no sense"),
        ("/finalize", Instead::Problem(500, "serverInternal", None), "serverInternal"),
        ("/cert", Instead::Nonsense(200), "the authority's certificate"),
    ] {
        let (setup, ca) = with(&origin);
        ca.mood(path, 1, instead);
        let edge = start(setup, &ca, "");
        let said = error(&edge);
        assert!(said.contains(told), "{path}: {said}");
        assert_eq!(edge.tls("app.test").get("/").status, 200);
        assert!(wait(&edge) <= 5, "{path}: {}", wait(&edge));
        assert_eq!(issued(&edge, "shop.example").serial.len(), 2, "{path}");
        assert_eq!(ca.accounts(), 1, "{path}");
    }
}

#[test]
fn an_authority_that_never_answers_delays_nothing_else() {
    let origin = Origin::start("blue");
    let (setup, silent) = with(&origin);
    silent.mood("/directory", usize::MAX, Instead::Silence);
    let edge = start(setup, &silent, "");
    assert_eq!(edge.tls("app.test").get("/").status, 200);
    assert!(shown(&edge, "shop.example").issuer.contains("internal CA"));
    edge.admin(&["reload"]).ok();
    assert!(error(&edge).contains("no answer within 30s"));
}

#[test]
fn a_failed_validation_is_reported_in_the_authoritys_words_and_five_an_hour_are_the_limit() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.blind(true);
    let mut edge = start(setup, &ca, "");
    let said = error(&edge);
    assert!(said.contains("shop.example by tls-alpn-01: unauthorized: saw nothing"), "{said}");
    edge.said("no certificate: ");
    assert!(edge.metric("edge_acme_failures_total{host=\"www.shop.example\"}") >= 1.0);
    assert!((20..=60).contains(&wait(&edge)), "{}", wait(&edge));
    let renew = |edge: &Edge| edge.admin(&["certs", "renew", "shop.example"]);
    let second = renew(&edge);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("by http-01"), "the other challenge is tried: {second:?}");
    for _ in 0..6 {
        renew(&edge);
    }
    edge.kill();
    edge.start_again();
    let refused = renew(&edge);
    assert!(refused.stderr.contains("5 failed validations within the hour"), "{refused:?}");
    let looked = ca.looked();
    assert!(looked <= 10, "two names, five each: {looked}");
    assert!(wait(&edge) > 3000, "{}", wait(&edge));
}

#[test]
fn a_name_that_resolves_nowhere_is_tried_once_and_then_rarely() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.blind(true);
    let site = SITE.replace("www.shop.example", "nowhere.example");
    let edge = setup.server(&ca.resolvers()).and(&ca.section("")).and(&site).start();
    let said = error(&edge);
    assert!(said.contains("name \"nowhere.example\" does not resolve"), "{said}");
    assert!(wait(&edge) > 3 * 3600 - 60, "{}", wait(&edge));
}

#[test]
fn the_second_directory_is_asked_when_the_first_fails() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    let second = Authority::start(&setup.place);
    ca.mood("/", usize::MAX, Instead::Nonsense(502));
    ca.profiles(&["shortlived"]);
    // One file for both roots.
    let roots = setup.path("roots.pem");
    let both = [&ca, &second].map(|ca| std::fs::read_to_string(ca.root_file()).unwrap()).concat();
    std::fs::write(&roots, both).unwrap();
    let section = ca.section(&format!("profile = \"shortlived\"\nfallback = {:?}", second.directory()));
    let section = section.replace(&ca.root_file().display().to_string(), &roots.display().to_string());
    let edge = setup.server(&ca.resolvers()).and(&section).and(SITE).start();
    issued(&edge, "shop.example");
    assert_eq!((ca.issued(), second.issued()), (0, 1));
    assert_eq!(kept(&edge, "meta.json").unwrap()["directory"], second.directory());
    ca.cheer_up();
}

/// Every durable step ends with a rename. The daemon is killed at the first one, then at the second, and so on, until an order gets
/// through.
#[test]
fn a_daemon_killed_at_any_step_of_an_order_goes_on_with_it() {
    if !is_there("strace") {
        return;
    }
    let origin = Origin::start("blue");
    let (mut kills, mut begun_again) = (0, 0);
    loop {
        let (setup, ca) = with(&origin);
        // Other renames happen at the first start, which is not traced.
        let mut edge = setup.server(&ca.resolvers()).start();
        edge.terminate();
        let text = std::fs::read_to_string(edge.path("edge.toml")).unwrap();
        edge.rewrite(&format!("{text}{}{SITE}", ca.section("")));
        let inject = format!("inject=/^rename:signal=KILL:when={}", kills + 1);
        edge.spawn_again_under(&[
            "strace",
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=/^rename",
            "-e",
            &inject,
        ]);
        let is_done = |edge: &Edge| {
            kept(edge, "meta.json").is_some()
                && kept(edge, "attempts.json").is_some_and(|told| told["interrupted"] == 0)
        };
        wait_for_start("the kill, or the certificate", || edge.try_wait().is_some() || is_done(&edge));
        if edge.try_wait().is_none() {
            break;
        }
        kills += 1;
        edge.start_again();
        issued(&edge, "shop.example");
        eventually("the order's end", &edge, || kept(&edge, "order.json").is_none().then_some(()));
        private(&edge.path("state/acme"));
        assert_eq!((ca.accounts(), ca.issued()), (1, 1), "kill {kills}");
        begun_again += ca.orders().len() - 1;
    }
    println!("{kills} kills, {begun_again} orders begun again");
    assert!(kills >= 8, "{kills}");
    // Only an order whose address was not on disk yet is begun again. strace counts for each thread, and which thread renames is
    // chance, so the same step can be met more than once.
    assert!((1..=3).contains(&begun_again), "{begun_again} of {kills}");
}
