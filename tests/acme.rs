//! Certificates from an authority: they are issued, kept and renewed without an operator, and a failure costs little.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::certs::{certificate, eventually, issued, kept, private, shown};
use crate::support::{Authority, Edge, Identity, Instead, Origin, Pebble, Root, Setup};

const SITE: &str = "[[site]]\nhosts = [\"shop.example\", \"www.shop.example\"]\nservice = \"app\"\n";

/// A real authority (Pebble), or the small one of the tests.
trait Ca {
    fn resolvers(&self) -> String;
    fn section(&self, lines: &str) -> String;
    fn hook(&self, folder: &Path) -> PathBuf;
}

impl Ca for Pebble {
    fn resolvers(&self) -> String {
        self.resolvers()
    }

    fn section(&self, lines: &str) -> String {
        self.section(lines)
    }

    fn hook(&self, folder: &Path) -> PathBuf {
        self.names.hook(folder)
    }
}

impl Ca for Authority {
    fn resolvers(&self) -> String {
        self.resolvers()
    }

    fn section(&self, lines: &str) -> String {
        self.section(lines)
    }

    fn hook(&self, _: &Path) -> PathBuf {
        self.hook()
    }
}

/// Runs `test` against the small authority, then against Pebble, each in a place of its own.
fn against_both(test: &dyn Fn(Setup, &dyn Ca)) {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let ours = Authority::start(&setup.place);
    test(setup, &ours);
    let setup = Setup::to(&origin);
    if let Some(pebble) = Pebble::start(&setup.place) {
        test(setup, &pebble);
    }
}

fn start(setup: Setup, ca: &dyn Ca, lines: &str) -> Edge {
    setup.server(&ca.resolvers()).and(&ca.section(lines)).and(SITE).start()
}

#[test]
fn a_site_serves_at_once_and_takes_its_certificate_as_soon_as_it_is_issued() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let Some(mut ca) = Pebble::start(&setup.place) else { return };
    ca.down();
    let edge = start(setup, &ca, "");
    assert!(shown(&edge, "shop.example").issuer.contains("internal CA"), "a certificate of the internal CA stands in");
    let standing_in = certificate(&edge, "shop.example");
    assert_eq!(standing_in["source"], "stand_in", "{standing_in}");
    assert_eq!(edge.metric("edge_certificate_stand_in{host=\"shop.example\"}"), 1.0);
    eventually("the failure in the status", &edge, || certificate(&edge, "shop.example")["error"].as_str().map(drop));
    assert!(edge.metric("edge_acme_failures_total{host=\"shop.example\"}") >= 1.0);
    let mut open = edge.tls("app.test");
    // A request at once: a connection that asks for nothing is closed after ten seconds.
    assert_eq!(open.get("/").status, 200);
    ca.up();
    let first = issued(&edge, "shop.example");
    assert_eq!(first.names, ["shop.example", "www.shop.example"]);
    assert_eq!(shown(&edge, "www.shop.example"), first);
    let mut client = edge.hello("shop.example").trusting_root(&ca.root()).connect().unwrap();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(open.get("/").status, 200, "an open connection stays open");
    let has = certificate(&edge, "shop.example");
    assert_eq!((&has["source"], &has["error"]), (&Value::from("acme"), &Value::Null), "{has}");
    assert_eq!(edge.metric("edge_certificate_stand_in{host=\"shop.example\"}"), 0.0);
    assert!(edge.metric("edge_certificate_not_after_seconds{host=\"shop.example\"}") > 1e9);
}

#[test]
fn http_01_is_answered_before_the_redirect_and_for_its_token_alone() {
    against_both(&|setup, ca| {
        let edge = start(setup, ca, "challenges = [\"http-01\"]");
        issued(&edge, "shop.example");
        let answer = edge.get("/.well-known/acme-challenge/unknown");
        assert_eq!((answer.status, answer.text().as_str()), (200, "blue"), "an unknown token goes to the site");
    });
}

#[test]
fn tls_alpn_01_answers_only_handshakes_that_ask_for_it() {
    against_both(&|setup, ca| {
        let edge = start(setup, ca, "challenges = [\"tls-alpn-01\"]");
        issued(&edge, "shop.example");
        assert!(edge.metric("edge_tls_handshakes_total{version=\"\",result=\"acme\"}") >= 1.0);
        for name in ["shop.example", "app.test", "none.example"] {
            assert!(edge.hello(name).shown(&[b"acme-tls/1"]).is_err(), "{name}: nothing is being validated");
        }
    });
}

#[test]
fn a_site_that_refuses_every_client_is_still_validated() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let origin = Origin::start("blue");
        let setup = Setup::to(&origin);
        let ca = Authority::start(&setup.place);
        fs::write(setup.path("ca.pem"), Root::named("Corporate CA").pem).unwrap();
        let closed = format!(
            "[[site]]\nhosts = [\"shop.example\", \"www.shop.example\"]\nservice = \"app\"\ncanonical_host = \"shop.example\"\n\
             allow = [\"192.0.2.0/24\"]\nlimit = [\"none\"]\nclient_ca = {:?}\n[zone.none]\nkey = \"global\"\nrate = \"1r/h\"\nburst = 0\n",
            setup.path("ca.pem")
        );
        // The first order fails, so that the authority looks while the site refuses everything.
        ca.mood("/directory", 1, Instead::Nonsense(503));
        let lines = ca.section(&format!("challenges = [{challenge:?}]"));
        let edge = setup.server(&ca.resolvers()).limits("connections_per_ip = 8").and(&lines).and(&closed).start();
        edge.admin(&["pause"]).ok();
        edge.admin(&["maintenance", "on"]).ok();
        edge.admin(&["certs", "renew", "shop.example"]).ok();
        assert_eq!(ca.looked(), 2, "{challenge}");
    }
}

#[test]
fn a_program_sets_the_records_of_dns_01_and_takes_them_back() {
    against_both(&|setup, ca| {
        let hook = ca.hook(setup.place.dir());
        let lines = ca.section(&format!("challenges = [\"dns-01\"]\ndns_hook = {hook:?}"));
        let wild =
            "[[site]]\nhosts = [\"shop.example\", \"www.shop.example\", \"*.shop.example\"]\nservice = \"app\"\n";
        let edge = setup.server(&ca.resolvers()).and(&lines).and(wild).start();
        let shown = issued(&edge, "any.shop.example");
        assert_eq!(shown.names, ["*.shop.example", "shop.example"]);
        let told = fs::read_to_string(edge.path("hook.log")).unwrap();
        let (set, taken_back): (Vec<_>, Vec<_>) = told.lines().partition(|line| line.starts_with("present "));
        assert!(set.iter().all(|line| line.starts_with("present _acme-challenge.shop.example ")), "{told}");
        assert_eq!(set.len(), taken_back.len(), "{told}");
    });
}

#[test]
fn an_external_account_is_bound() {
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let more = format!(r#", "externalAccountBindingRequired": true, "externalAccountMACKeys": {{"kid-1": "{KEY}"}}"#);
    let Some(ca) = Pebble::start_with(&setup.place, &more) else { return };
    fs::write(setup.path("eab"), format!("{KEY}\n")).unwrap();
    let lines = format!("eab_kid = \"kid-1\"\neab_hmac_key_file = {:?}", setup.path("eab"));
    let mut edge = start(setup, &ca, "");
    eventually("a refusal", &edge, || {
        let error = certificate(&edge, "shop.example")["error"].clone();
        error.as_str().filter(|error| error.contains("externalAccountRequired")).map(drop)
    });
    let text = fs::read_to_string(edge.path("edge.toml")).unwrap();
    edge.rewrite(&text.replace(&ca.section(""), &ca.section(&lines)));
    let first = issued(&edge, "shop.example");
    edge.terminate();
    edge.start_again();
    assert_eq!(shown(&edge, "shop.example"), first, "no second registration");
}

#[test]
fn a_restart_orders_nothing_and_a_copy_of_the_state_works_elsewhere() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let Some(mut ca) = Pebble::start(&setup.place) else { return };
    let mut edge = start(setup, &ca, "");
    let first = issued(&edge, "shop.example");
    edge.terminate();
    edge.start_again();
    assert_eq!(shown(&edge, "shop.example"), first, "from the first handshake on");
    let next = certificate(&edge, "shop.example")["next_renewal"].as_str().unwrap().to_owned();
    edge.kill();
    edge.start_again();
    assert_eq!(shown(&edge, "shop.example"), first);
    assert_eq!(certificate(&edge, "shop.example")["next_renewal"], next.as_str(), "the day of the renewal stays");
    let again = Setup::to(&origin);
    let copied = std::process::Command::new("cp").arg("-a").arg(edge.path("state")).arg(again.path("state")).status();
    assert!(copied.unwrap().success());
    ca.down();
    let elsewhere = start(again, &ca, "");
    assert_eq!(shown(&elsewhere, "shop.example"), first);
    private(&edge.path("state/acme"));
}

#[test]
fn certs_renew_brings_a_new_certificate_with_a_new_key() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let Some(mut ca) = Pebble::start(&setup.place) else { return };
    let edge = start(setup, &ca, "");
    let first = issued(&edge, "shop.example");
    let ran = edge.admin(&["certs", "renew", "www.shop.example", "--json"]).ok();
    assert_eq!(ran.json()["names"][0], "shop.example");
    let second = shown(&edge, "shop.example");
    assert_ne!(first.serial, second.serial);
    assert_ne!(first.key, second.key);
    let folder = edge.path("state/acme/certificates/shop.example");
    let pems = fs::read_dir(folder).unwrap().filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "pem");
    assert_eq!(pems.count(), 2, "one chain, one key");
    let other = edge.admin(&["certs", "renew", "app.test"]);
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.stderr.contains("no certificate for app.test comes from an authority"), "{other:?}");
    assert!(other.stderr.contains("the internal CA signs it"), "{other:?}");
    assert!(other.stderr.contains("there is shop.example"), "{other:?}");
    ca.down();
    let failed = edge.admin(&["certs", "renew", "shop.example"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.contains("Connection refused"), "{failed:?}");
    assert_eq!(shown(&edge, "shop.example"), second, "the old certificate serves on");
    // The authority has lost every account meanwhile.
    ca.up();
    edge.admin(&["certs", "renew", "shop.example"]).ok();
    assert_ne!(shown(&edge, "shop.example").serial, second.serial);
}

#[test]
fn a_daemon_killed_at_random_moments_goes_on_with_one_account() {
    let seed = std::env::var("EDGE_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("EDGE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let Some(ca) = Pebble::start(&setup.place) else { return };
    let mut edge = start(setup, &ca, "");
    for round in 0..3 {
        // Three kills with the one below. After a fourth, an attempt would have to wait, as in a crash loop.
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(random.u64(0..900)));
            edge.kill();
            edge.start_again();
        }
        issued(&edge, "shop.example");
        // An order that has begun is finished.
        eventually("the order's end", &edge, || kept(&edge, "order.json").is_none().then_some(()));
        private(&edge.path("state/acme"));
        assert!(!edge.stderr().contains("damaged"), "round {round}, EDGE_SEED={seed}");
        let mut renewal = edge.command(&["certs", "renew", "shop.example"]);
        let mut renewal = renewal.stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(0..900)));
        edge.kill();
        renewal.wait().unwrap();
        edge.start_again();
    }
    assert!(!ca.log().contains("There are now 2 accounts"), "EDGE_SEED={seed}");
}

#[test]
fn a_damaged_certificate_is_kept_aside_and_issued_anew() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let Some(ca) = Pebble::start(&setup.place) else { return };
    let mut edge = start(setup, &ca, "");
    let first = issued(&edge, "shop.example");
    edge.kill();
    let certificates = edge.path("state/acme/certificates");
    fs::write(certificates.join("shop.example/key.1.pem"), "nonsense").unwrap();
    edge.start_again();
    edge.said("was moved aside");
    assert_ne!(issued(&edge, "shop.example").serial, first.serial);
    let names = fs::read_dir(&certificates).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("shop.example.damaged-")).count(), 1);
}

#[test]
fn a_reload_adds_and_removes_certificates() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let Some(ca) = Pebble::start(&setup.place) else { return };
    let edge = start(setup, &ca, "");
    let first = issued(&edge, "shop.example");
    let text = fs::read_to_string(edge.path("edge.toml")).unwrap();
    let added = "[[site]]\nhosts = [\"new.example\"]\nservice = \"app\"\n";
    edge.rewrite(&format!("{text}{added}"));
    issued(&edge, "new.example");
    assert_eq!(shown(&edge, "shop.example"), first, "the others stay");
    edge.rewrite(&text.replace("\"www.shop.example\"", "\"m.shop.example\""));
    let changed = issued(&edge, "m.shop.example");
    assert_eq!(changed.names, ["m.shop.example", "shop.example"]);
    assert!(edge.hello("new.example").shown(&[b"h2"]).is_err(), "a name without a site has no certificate");
}

/// Writes a certificate as if an authority had issued it and the daemon had kept it.
fn keep(state: &Path, name: &str, directory: &str) {
    use std::os::unix::fs::DirBuilderExt;
    let folder = state.join("acme/certificates").join(name);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).unwrap();
    let identity = Identity::for_names(&[name]);
    identity.write(&folder.join("chain.1.pem"), &folder.join("key.1.pem"));
    let (issued, renew_at) = (jiff::Timestamp::now(), jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1000));
    let meta = serde_json::json!({
        "generation": 1, "names": [name], "directory": directory, "issued": issued, "renew_at": renew_at,
    });
    fs::write(folder.join("meta.json"), meta.to_string()).unwrap();
}

#[test]
fn a_thousand_certificates_cost_little() {
    let origin = Origin::start("blue");
    let started = |count: usize| {
        let setup = Setup::to(&origin);
        let ca = Authority::start(&setup.place);
        ca.mood("/", usize::MAX, Instead::Silence);
        let names: Vec<String> = (0..count).map(|number| format!("shop-{number}.example")).collect();
        for name in &names {
            keep(&setup.path("state"), name, &ca.directory());
        }
        let site = |name: &String| format!("[[site]]\nhosts = [\"{name}\"]\nservice = \"app\"\n");
        let sites: String = names.iter().map(site).collect();
        let begun = Instant::now();
        let edge = setup.server(&ca.resolvers()).and(&ca.section("")).and(&sites).start();
        let took = begun.elapsed();
        let last = names.last().unwrap();
        assert_eq!(shown(&edge, last).names, [last.as_str()]);
        let begun = Instant::now();
        for _ in 0..20 {
            shown(&edge, last);
        }
        (took, begun.elapsed() / 20, edge.memory())
    };
    let (few, many) = (started(10), started(1000));
    println!("10 and 1,000 certificates: start {:?} and {:?}", few.0, many.0);
    println!("handshake {:?} and {:?}, memory {} and {} MiB", few.1, many.1, few.2, many.2);
    assert!(many.0 < Duration::from_secs(10), "a debug build took {:?} on this machine", many.0);
    assert!(many.2 < few.2 + 100, "{} MiB", many.2);
}
