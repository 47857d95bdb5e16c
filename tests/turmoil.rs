//! Whatever clients and operators do at the same time, and however it ends: nothing stays counted, held, queued or locked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::load::UPGRADE;
use crate::support::{Client, Edge, Origin, Setup, Then, serves_load, wait_until};

const LASTS: Duration = Duration::from_secs(6);

const SERVICE: &str = "sticky = \"cookie\"\nfailover = \"other-color\"\nmax_in_flight = 3\nqueue_timeout = \"300ms\"\n\
                       response_timeout = \"500ms\"";
const HEALTH: &str = "interval = \"50ms\"\nrise = 1\nfall = 1\ntimeout = \"2s\"\nfail_timeout = \"100ms\"";

fn backend(color: &'static str) -> Origin {
    let origin = Origin::start(color);
    serves_load(&origin, color);
    origin.on("/reset", |_, _| Then::Close);
    origin.on("/half", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        Then::Close
    });
    origin.on("/silent", |_, wire| {
        wire.closes_within(Duration::from_secs(5));
        Then::Close
    });
    origin.on("/early", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        Then::Close
    });
    origin
}

/// One exchange of a client, drawn by chance. Most of them break off.
fn client(edge: &Edge, random: &mut fastrand::Rng, token: &str) {
    let paths = ["/", "/", "/", "/reset", "/half", "/silent", "/download", "/early"];
    let path = paths[random.usize(..paths.len())];
    let fields = if random.u8(..4) == 0 { format!("Cookie: edge_preview_app={token}\r\n") } else { String::new() };
    let mut client = edge.plain();
    match random.u8(..9) {
        0 => drop(client.begin("GET", path, &fields)),
        1 => drop(client.begin("HEAD", path, &fields).head()),
        2 => drop(client.begin("CONNECT", "plain.test:443", "").head()),
        3 => {
            client.begin("POST", path, &format!("{fields}Content-Length: 100\r\n")).send("some");
            client.patience(Duration::from_millis(random.u64(1..30)));
            let _ = client.head();
        }
        4 | 5 => {
            client.begin("GET", "/ws", &format!("{UPGRADE}{fields}")).send("hello");
            client.patience(Duration::from_millis(random.u64(1..200)));
            let _ = client.some();
        }
        6 => many_streams(edge, random, path),
        _ => {
            client.patience(Duration::from_millis(random.u64(1..400)));
            let _ = client.begin("GET", path, &fields).try_whole_answer();
        }
    }
}

fn many_streams(edge: &Edge, random: &mut fastrand::Rng, path: &str) {
    let mut connection = edge.h2("app.test");
    let mut open = Vec::new();
    for _ in 0..random.usize(1..12) {
        let ends = random.bool();
        let Ok((answer, mut stream)) =
            connection.begin(connection.request(if ends { "GET" } else { "POST" }, path), ends)
        else {
            return;
        };
        match random.u8(..3) {
            0 => stream.send_reset(h2::Reason::CANCEL),
            1 => drop(answer),
            _ => open.push((answer, stream)),
        }
    }
    if let Some((answer, stream)) = open.pop() {
        drop(stream);
        drop(connection.run(async { tokio::time::timeout(Duration::from_millis(50), answer).await }));
    }
}

/// Asks for an operation; a refusal is as good as a success.
fn ask(edge: &Edge, verb: &str, ask: &Value) -> Value {
    let answer = edge.api().post(&format!("/v1/services/app/{verb}"), &ask.to_string());
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    let code = said["code"].as_str().unwrap_or("done");
    let expected = [
        "done",
        "conflict",
        "overtaken",
        "no_previous",
        "rolled_back_from",
        "serves_already",
        "gate_not_passed",
        "no_such_service",
    ];
    assert!(expected.contains(&code), "{verb} {ask}: {said}");
    said
}

fn operator(edge: &Edge, random: &mut fastrand::Rng, origins: &[Origin], configs: &[String]) {
    let color = ["blue", "green"][random.usize(..2)];
    match random.u8(..12) {
        0 | 1 => ask(edge, "switch", &json!({ "color": color, "timeout": "300ms", "drain": "100ms", "wait": false })),
        2 => ask(edge, "switch", &json!({ "color": color, "timeout": "300ms", "watch": "200ms", "drain": "0s" })),
        3 => ask(
            edge,
            "switch",
            &json!({ "color": color, "timeout": "300ms", "steps": [10, 50], "step_time": "60ms", "drain": "50ms" }),
        ),
        4 => ask(edge, "rollback", &json!({ "timeout": "300ms", "drain": "50ms", "wait": false })),
        5 => ask(edge, "canary", &json!({ "color": color, "percent": 50, "timeout": "300ms" })),
        6 => ask(edge, "canary", &json!({ "off": true, "drain": "50ms", "wait": false })),
        7 => ask(edge, "pause", &json!({ "max": "200ms", "timeout": "50ms" })),
        8 => ask(edge, "resume", &json!({})),
        9 => ask(edge, "maintenance", &json!({ "off": random.u8(..4) > 0 })),
        10 => {
            origins[random.usize(..origins.len())].set_health(if random.bool() { 200 } else { 503 });
            Value::Null
        }
        _ => {
            if let Some(config) = random.choice(configs) {
                edge.rewrite(config);
                edge.api().post("/v1/reload", "");
            }
            Value::Null
        }
    };
}

fn is_at_rest(edge: &Edge) -> bool {
    let counted = ["edge_http_requests_in_flight", "edge_http_requests_queued"].map(|name| edge.metric(name));
    let status = edge.status();
    let pools = status["pools"].as_array().unwrap().clone();
    let backends = pools.iter().flat_map(|pool| pool["backends"].as_array().unwrap());
    counted == [0.0, 0.0]
        && pools.iter().all(|pool| pool["draining"] == false && pool["left"] == json!([]))
        && backends.clone().all(|backend| backend["in_flight"] == 0 && backend["up"] == true)
}

#[test]
fn nothing_is_left_behind() {
    let seed = std::env::var("EDGE_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("EDGE_SEED={seed}");
    let origins = ["blue", "blue", "green", "green"].map(backend);
    let [one, two, three, four] = origins.each_ref().map(Origin::backend);
    let setup = Setup::pools(&[one, two], &[three, four]).service(SERVICE).health(HEALTH);
    let config = setup.text();
    let changed = config.replace("max_in_flight = 3", "max_in_flight = 1").replace("failover = \"other-color\"\n", "");
    let fewer = config.replace(&format!("{one:?}, {two:?}"), &format!("{one:?}"));
    assert!(changed != config && fewer != config);
    let edge = setup.start();
    let link = ask(&edge, "preview", &json!({ "color": "green" }));
    let token = link["url"].as_str().unwrap().split_once("edge_preview=").unwrap().1.to_owned();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..6 {
            let (edge, stop, token) = (&edge, &stop, &token);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed ^ number);
                while !stop.load(Ordering::SeqCst) {
                    client(edge, &mut random, token);
                }
            });
        }
        let operators: Vec<_> = (0..2)
            .map(|number| {
                let (edge, origins) = (&edge, &origins);
                // Only the first operator writes the config.
                let configs =
                    if number == 0 { vec![config.clone(), changed.clone(), fewer.clone()] } else { Vec::new() };
                scope.spawn(move || {
                    let (mut random, begun) = (fastrand::Rng::with_seed(!seed ^ number), Instant::now());
                    while begun.elapsed() < LASTS {
                        operator(edge, &mut random, origins, &configs);
                    }
                })
            })
            .collect();
        let done: Vec<_> = operators.into_iter().map(thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::SeqCst);
        assert!(done.iter().all(Result::is_ok), "an operator has failed");
    });
    for origin in &origins {
        origin.set_health(200);
    }
    edge.rewrite(&config);
    edge.admin(&["reload"]).ok();
    for (verb, body) in
        [("resume", json!({})), ("maintenance", json!({ "off": true })), ("canary", json!({ "off": true }))]
    {
        let said = ask(&edge, verb, &body);
        assert_eq!(said["code"], Value::Null, "{said}");
    }
    wait_until("nothing to be left", || is_at_rest(&edge));
    assert_eq!(edge.status()["detour"], Value::Null);
    // Every place is free, and no lock is left.
    for _ in 0..2 {
        let idle = edge.admin(&["idle"]).ok().stdout;
        edge.admin(&["switch", idle.trim()]).ok();
        let mut clients: Vec<Client> = (0..6).map(|_| edge.plain()).collect();
        for client in &mut clients {
            client.begin("GET", "/ws", UPGRADE);
            let head = client.head().unwrap();
            assert_eq!((head.word(1), head.get("x-color")), ("101", Some(idle.trim())), "{head:?}");
        }
        drop(clients);
        wait_until("them to be gone", || is_at_rest(&edge));
    }
}
