//! Authorities that lie, and a disk that does not always answer: nothing is lost, nothing is asked for twice.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::support::certs::{certificate, eventually, issued, kept, shown};
use crate::support::{Authority, Edge, Instead, Origin, Setup};

const SITE: &str = "[[site]]\nhosts = [\"shop.example\"]\nservice = \"app\"\n";

fn with(origin: &Origin) -> (Setup, Authority) {
    let setup = Setup::to(origin);
    let ca = Authority::start(&setup.place);
    (setup, ca)
}

fn start(setup: Setup, ca: &Authority, lines: &str) -> Edge {
    setup.server(&ca.resolvers()).and(&ca.section(lines)).and(SITE).start()
}

#[test]
fn a_retry_after_out_of_range_is_ignored() {
    let origin = Origin::start("blue");
    for beyond in ["18446744073709551615", "4294967296", "-1", "soon"] {
        let (setup, ca) = with(&origin);
        ca.field("Retry-After", beyond);
        ca.windows(&[(86_400, 90_000)]);
        let edge = start(setup, &ca, "");
        issued(&edge, "shop.example");
        eventually("the window", &edge, || kept(&edge, "meta.json")?["window"].is_object().then_some(()));
    }
}

#[test]
fn a_window_in_the_year_one_harms_nothing() {
    const YEARS: i64 = 2020 * 31_556_952;
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.windows(&[(-YEARS, -YEARS)]);
    let mut edge = start(setup, &ca, "");
    eventually("the second window", &edge, || {
        let meta = kept(&edge, "meta.json")?;
        (meta["generation"] == 2 && meta["window"].is_object()).then_some(())
    });
    edge.kill();
    edge.start_again();
    assert_eq!(shown(&edge, "shop.example").serial, "02");
    assert!(!edge.stderr().contains("damaged"), "{}", edge.stderr());
    assert_eq!(ca.issued(), 2);
}

#[test]
fn an_order_outlives_the_authoritys_trouble() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.mood("/authz", 1, Instead::Nonsense(200));
    ca.mood("/order/", 1, Instead::Problem(500, "serverInternal", None));
    let edge = start(setup, &ca, "");
    issued(&edge, "shop.example");
    assert_eq!(ca.orders().len(), 1);
}

#[test]
fn an_order_that_does_not_end_is_given_up() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.mood("/authz", usize::MAX, Instead::Nonsense(200));
    let mut edge = start(setup, &ca, "");
    eventually("an error", &edge, || certificate(&edge, "shop.example")["error"].as_str().map(drop));
    edge.kill();
    let mut order = kept(&edge, "order.json").unwrap();
    let begun: jiff::Timestamp = order["begun"].as_str().unwrap().parse().unwrap();
    order["begun"] = (begun - jiff::SignedDuration::from_hours(7)).to_string().into();
    fs::write(edge.path("state/acme/certificates/shop.example/order.json"), order.to_string()).unwrap();
    ca.cheer_up();
    edge.start_again();
    issued(&edge, "shop.example");
    assert_eq!(ca.orders().len(), 2);
}

/// Replaces the file by a link to itself, which no read gets through; returns where the file is now.
fn make_unreadable(path: &Path) -> PathBuf {
    let aside = path.with_extension("aside");
    fs::rename(path, &aside).unwrap();
    symlink(path, path).unwrap();
    aside
}

#[test]
fn a_file_that_can_not_be_read_now_is_not_replaced() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    let mut edge = start(setup, &ca, "");
    let first = issued(&edge, "shop.example");
    edge.kill();
    let accounts = fs::read_dir(edge.path("state/acme/accounts")).unwrap().map(|entry| entry.unwrap().path());
    let account = accounts.last().unwrap().join("account.json");
    let chain = edge.path("state/acme/certificates/shop.example/chain.1.pem");
    let [account_aside, chain_aside] = [&account, &chain].map(|path| make_unreadable(path));
    edge.start_again();
    let told = certificate(&edge, "shop.example")["error"].as_str().unwrap().to_owned();
    assert!(told.contains("can't be used"), "{told}");
    fs::rename(&chain_aside, &chain).unwrap();
    edge.terminate();
    edge.start_again();
    assert_eq!(shown(&edge, "shop.example"), first);
    let renewal = edge.admin(&["certs", "renew", "shop.example"]);
    assert!(renewal.code == Some(1) && renewal.stderr.contains("account.json"), "{renewal:?}");
    fs::rename(&account_aside, &account).unwrap();
    edge.admin(&["certs", "renew", "shop.example"]).ok();
    assert_eq!((ca.accounts(), ca.issued()), (1, 2));
}

#[test]
fn an_attempt_that_can_not_be_written_down_is_not_begun() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    let edge = start(setup, &ca, "");
    issued(&edge, "shop.example");
    let attempts = edge.path("state/acme/certificates/shop.example/attempts.json");
    fs::remove_file(&attempts).unwrap();
    fs::create_dir(&attempts).unwrap();
    let renewal = edge.admin(&["certs", "renew", "shop.example"]);
    assert!(renewal.code == Some(1) && renewal.stderr.contains("attempts.json"), "{renewal:?}");
    assert_eq!(ca.orders().len(), 1);
}

#[test]
fn a_refused_contact_stops_no_renewal() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    let edge = start(setup, &ca, "");
    issued(&edge, "shop.example");
    ca.mood("/account/", usize::MAX, Instead::Problem(400, "invalidContact", None));
    let text = fs::read_to_string(edge.path("edge.toml")).unwrap();
    edge.rewrite(&text.replace("ops@shop.example", "who@shop.example"));
    edge.admin(&["reload"]).ok();
    edge.admin(&["certs", "renew", "shop.example"]).ok();
    edge.said("invalidContact");
}

#[test]
fn certs_renew_does_not_wait_for_a_window() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.windows(&[(86_400, 90_000)]);
    ca.mood("/renewal", usize::MAX, Instead::Silence);
    let edge = start(setup, &ca, "");
    issued(&edge, "shop.example");
    let begun = std::time::Instant::now();
    edge.admin(&["certs", "renew", "shop.example"]).ok();
    // A request that the authority leaves unanswered is given up after thirty seconds.
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

/// Seconds until the next attempt.
fn wait(edge: &Edge) -> i64 {
    let next: jiff::Timestamp = certificate(edge, "shop.example")["next_renewal"].as_str().unwrap().parse().unwrap();
    next.duration_since(jiff::Timestamp::now()).as_secs()
}

#[test]
fn a_useless_certificate_is_not_ordered_again_soon() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.reverses_chains();
    let edge = start(setup, &ca, "");
    let told =
        eventually("an error", &edge, || certificate(&edge, "shop.example")["error"].as_str().map(str::to_owned));
    assert!(told.contains("is in the wrong order"), "{told}");
    assert!(wait(&edge) > 200, "{}", wait(&edge));
    assert_eq!(ca.issued(), 1);
}

#[test]
fn a_certificate_that_was_not_handed_out_is_fetched_again() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.mood("/cert", 1, Instead::Nonsense(200));
    let edge = start(setup, &ca, "");
    issued(&edge, "shop.example");
    assert_eq!((ca.orders().len(), ca.issued()), (1, 1));
}

#[test]
fn the_hook_never_sees_a_name_that_was_not_ordered() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.misnames("$(reboot).example");
    let edge = start(setup, &ca, &format!("challenges = [\"dns-01\"]\ndns_hook = {:?}", ca.hook()));
    let told =
        eventually("an error", &edge, || certificate(&edge, "shop.example")["error"].as_str().map(str::to_owned));
    assert!(told.contains("$(reboot).example, which was not asked for"), "{told}");
    assert!(!edge.path("hook.log").exists());
}

#[test]
fn an_order_goes_on_by_itself_after_an_error() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    let edge = start(setup, &ca, "");
    issued(&edge, "shop.example");
    ca.mood("/authz", 1, Instead::Nonsense(200));
    assert_eq!(edge.admin(&["certs", "renew", "shop.example"]).code, Some(1));
    eventually("the second certificate", &edge, || (ca.issued() == 2).then_some(()));
    assert_eq!(ca.orders().len(), 2);
}

#[test]
fn an_attempt_killed_after_its_certificate_was_stored_has_succeeded() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    ca.mood("/authz", 1, Instead::Nonsense(200));
    let mut edge = start(setup, &ca, "");
    let mut order = eventually("the order", &edge, || kept(&edge, "order.json"));
    issued(&edge, "shop.example");
    edge.kill();
    let folder = edge.path("state/acme/certificates/shop.example");
    let mut attempts = kept(&edge, "attempts.json").unwrap();
    attempts["interrupted"] = 3.into();
    fs::write(folder.join("attempts.json"), attempts.to_string()).unwrap();
    order["key"] = fs::read_to_string(folder.join("key.1.pem")).unwrap().into();
    fs::write(folder.join("order.json"), order.to_string()).unwrap();
    edge.start_again();
    assert!(kept(&edge, "order.json").is_none());
    assert_eq!(kept(&edge, "attempts.json").unwrap()["interrupted"], 0);
    assert_eq!(ca.issued(), 1);
}

#[test]
fn one_order_is_under_way_at_a_time_however_many_are_asked_for() {
    let origin = Origin::start("blue");
    let (setup, ca) = with(&origin);
    let edge = start(setup, &ca, &format!("challenges = [\"dns-01\"]\ndns_hook = {:?}", ca.hook()));
    issued(&edge, "shop.example");
    let ask = || edge.command(&["certs", "renew", "shop.example"]).stdout(Stdio::null()).spawn().unwrap();
    for mut asked in [(); 5].map(|()| ask()) {
        assert!(asked.wait().unwrap().success());
    }
    let told = fs::read_to_string(edge.path("hook.log")).unwrap();
    let verbs: Vec<&str> = told.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(verbs.len() >= 4 && verbs.chunks(2).all(|pair| pair == ["present", "cleanup"]), "{told}");
    assert_eq!(ca.issued(), verbs.len() / 2);
}
