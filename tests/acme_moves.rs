//! Sites that change while they serve: they are renamed, split, removed, or get another kind of certificate. A name that has a
//! certificate never loses it by that.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::certs::{certificate, eventually, issued, shown};
use crate::support::{Authority, Edge, Identity, Instead, Origin, Setup};

fn site(hosts: &[&str]) -> String {
    format!("[[site]]\nhosts = {hosts:?}\nservice = \"app\"\n")
}

/// A site with two names in one certificate.
struct Stage {
    ca: Authority,
    edge: Edge,
    /// The config without the site.
    bare: String,
    _origin: Origin,
}

const BOTH: [&str; 2] = ["shop.example", "www.shop.example"];

fn stage() -> Stage {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let ca = Authority::start(&setup.place);
    let setup = setup.server(&ca.resolvers()).and(&ca.section(""));
    let bare = setup.text();
    let edge = setup.and(&site(&BOTH)).start();
    Stage { ca, edge, bare, _origin: origin }
}

impl Stage {
    fn sites(&self, sites: &[String]) {
        self.edge.rewrite(&format!("{}{}", self.bare, sites.concat()));
        self.edge.admin(&["reload"]).ok();
    }
}

#[test]
fn a_new_first_name_leaves_the_others_their_certificate() {
    let mut stage = stage();
    let first = issued(&stage.edge, "shop.example");
    stage.ca.blind(true);
    stage.sites(&[site(&["one.example", BOTH[0], BOTH[1]])]);
    assert_eq!(shown(&stage.edge, "shop.example"), first);
    eventually("the failure", &stage.edge, || certificate(&stage.edge, "one.example")["error"].as_str().map(drop));
    stage.edge.kill();
    stage.edge.start_again();
    for name in BOTH {
        assert_eq!(shown(&stage.edge, name), first);
    }
    stage.ca.blind(false);
    stage.edge.admin(&["certs", "renew", "one.example"]).ok();
    assert_eq!(shown(&stage.edge, "shop.example").names.len(), 3);
}

#[test]
fn a_name_that_moves_to_a_site_of_its_own_keeps_its_certificate() {
    let stage = stage();
    let first = issued(&stage.edge, "shop.example");
    stage.ca.blind_to("www.shop.example");
    stage.sites(&[site(&["shop.example"]), site(&["www.shop.example"])]);
    let www = "www.shop.example";
    assert_eq!(shown(&stage.edge, www), first);
    eventually("the new one", &stage.edge, || (shown(&stage.edge, "shop.example") != first).then_some(()));
    eventually("the failure", &stage.edge, || certificate(&stage.edge, www)["error"].as_str().map(drop));
    assert_eq!(shown(&stage.edge, www), first);
}

#[test]
fn a_name_that_moves_to_another_site_keeps_its_certificate() {
    let mut stage = stage();
    issued(&stage.edge, "shop.example");
    stage.sites(&[site(&["shop.example"]), site(&["blog.example"])]);
    let blog = issued(&stage.edge, "blog.example");
    eventually("shop's", &stage.edge, || (shown(&stage.edge, "shop.example").names.len() == 1).then_some(()));
    let shop = shown(&stage.edge, "shop.example");
    stage.ca.blind(true);
    stage.sites(&[site(&["shop.example", "blog.example"])]);
    for _ in 0..2 {
        assert_eq!(shown(&stage.edge, "blog.example"), blog);
        assert_eq!(shown(&stage.edge, "shop.example"), shop);
        eventually("the failure", &stage.edge, || certificate(&stage.edge, "shop.example")["error"].as_str().map(drop));
        assert_eq!(shown(&stage.edge, "blog.example"), blog);
        stage.edge.kill();
        stage.edge.start_again();
    }
    let names = |certificate: &Value| certificate["names"].as_array().unwrap().len();
    assert_eq!(names(&certificate(&stage.edge, "blog.example")), 1);
    stage.ca.blind(false);
    stage.edge.admin(&["certs", "renew", "shop.example"]).ok();
    assert_eq!(shown(&stage.edge, "blog.example").names.len(), 2);
    assert_eq!(names(&certificate(&stage.edge, "blog.example")), 2);
}

#[test]
fn the_same_names_in_another_order_need_no_new_certificate() {
    let stage = stage();
    let first = issued(&stage.edge, "shop.example");
    stage.sites(&[site(&[BOTH[1], BOTH[0]])]);
    assert_rests(&stage.edge);
    assert_eq!(shown(&stage.edge, "shop.example"), first);
    assert_eq!(stage.ca.orders().len(), 1);
}

/// Checks that no attempt is due for shop.example.
fn assert_rests(edge: &Edge) {
    let next = certificate(edge, "shop.example")["next_renewal"].as_str().unwrap().to_owned();
    let next: jiff::Timestamp = next.parse().unwrap();
    assert!(next > jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24), "{next}");
}

#[test]
fn a_change_that_is_taken_back_during_its_order_orders_nothing_more() {
    let stage = stage();
    let first = issued(&stage.edge, "shop.example");
    stage.ca.mood("/challenge", usize::MAX, Instead::Silence);
    stage.sites(&[site(&[BOTH[0], BOTH[1], "new.example"])]);
    let order = stage.edge.path("state/acme/certificates/shop.example/order.json");
    eventually("the order", &stage.edge, || order.exists().then_some(()));
    stage.sites(&[site(&BOTH)]);
    assert_rests(&stage.edge);
    assert_eq!(shown(&stage.edge, "shop.example"), first);
    assert_eq!(stage.ca.orders().len(), 2);
}

#[test]
fn a_site_that_moves_between_files_and_an_authority_shows_no_stand_in() {
    let stage = stage();
    issued(&stage.edge, "shop.example");
    let files = Identity::for_names(&BOTH).section(stage.edge.path("").as_path(), "shop");
    // The reload takes its time: a service is added whose backend does not come up.
    let slow = "[service.slow]\nbackends = [\"127.0.0.1:1\"]\n[[site]]\nhosts = [\"slow.test\"]\nservice = \"slow\"\n";
    let shop = site(&BOTH);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let issuer = shown(&stage.edge, "shop.example").issuer;
                assert!(!issuer.contains("internal CA"), "{issuer}");
                thread::sleep(Duration::from_millis(5));
            }
        });
        stage.sites(&[shop.clone(), files]);
        stage.sites(&[shop, slow.to_owned()]);
        ended.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
    });
    assert!(shown(&stage.edge, "shop.example").issuer.contains("small test authority"));
    assert_eq!(stage.ca.issued(), 1);
}

/// Waits until `verb` is the last thing that the hook was called for.
fn hook_was_called(edge: &Edge, verb: &str) {
    eventually(verb, edge, || {
        let told = fs::read_to_string(edge.path("hook.log")).unwrap_or_default();
        told.lines().last().filter(|line| line.starts_with(verb)).map(drop)
    });
}

#[test]
fn a_site_that_is_removed_during_its_order_leaves_no_record() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin).server("");
    let ca = Authority::start(&setup.place);
    ca.mood("/challenge", usize::MAX, Instead::Silence);
    let setup = setup.server(&ca.resolvers());
    let bare = setup.text();
    let acme = ca.section(&format!("challenges = [\"dns-01\"]\ndns_hook = {:?}", ca.hook()));
    let with_site = format!("{bare}{acme}{}", site(&["shop.example"]));
    let mut edge = setup.and(&acme).and(&site(&["shop.example"])).start();
    hook_was_called(&edge, "present");
    // The whole section [acme] goes with the site.
    edge.rewrite(&bare);
    edge.admin(&["reload"]).ok();
    hook_was_called(&edge, "cleanup");
    edge.rewrite(&with_site);
    edge.admin(&["reload"]).ok();
    hook_was_called(&edge, "present");
    edge.kill();
    edge.rewrite(&format!("{bare}{acme}"));
    edge.start_again();
    hook_was_called(&edge, "cleanup");
}

#[test]
fn a_stop_during_a_hook_ends_the_hook_and_the_next_start_takes_its_record_back() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin).server("");
    let ca = Authority::start(&setup.place);
    let hook = setup.path("slow-hook");
    let (log, pid) = (setup.path("hook.log"), setup.path("hook.pid"));
    let text = format!("#!/bin/sh\necho $$ >{pid:?}\necho \"$1 $2\" >>{log:?}\n[ $1 = cleanup ] || exec sleep 600\n");
    fs::write(&hook, text).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
    let setup = setup.server(&ca.resolvers());
    let acme = ca.section(&format!("challenges = [\"dns-01\"]\ndns_hook = {hook:?}"));
    let mut edge = setup.and(&acme).and(&site(&["shop.example"])).start();
    hook_was_called(&edge, "present");
    let process = fs::read_to_string(&pid).unwrap();
    edge.terminate();
    assert_eq!(edge.wait().code(), Some(0));
    eventually("the hook's end", &edge, || (!Path::new("/proc").join(process.trim()).exists()).then_some(()));
    edge.start_again();
    eventually("the cleanup", &edge, || fs::read_to_string(&log).unwrap().contains("cleanup").then_some(()));
    eventually("the next", &edge, || (fs::read_to_string(&log).unwrap().matches("present").count() == 2).then_some(()));
    assert_eq!((ca.orders().len(), ca.accounts()), (1, 1));
}
