//! Two hundred switches keep what one promises: nothing is lost, nothing reaches the old colour late, nothing stays in memory. A
//! WebSocket outlives any number of switches until its own deadline.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::frames::{closing, frame, masked};
use crate::support::load::UPGRADE;
use crate::support::{Client, Edge, Load, Origin, Setup, Then, Turn, seconds, serves_load, wait_until};

/// The first probe comes at once, and passes the gate.
const HEALTH: &str = "interval = \"200ms\"\nrise = 1\ntimeout = \"2s\"";

const SWITCHES: usize = 200;

fn turn(edge: &Edge, color: &str) -> Turn {
    let begun = Instant::now();
    edge.admin(&["switch", color, "--no-wait"]).ok();
    Turn { begun, returned: Instant::now(), color: color.to_owned() }
}

/// The memory that is never given back. The larger readings include what the load was doing at that moment, which is more on a busy
/// machine.
fn least(readings: &[u64]) -> u64 {
    *readings.iter().min().unwrap()
}

/// Two hundred switches, there and back. Returns the memory around the tenth and at the end, in KiB.
fn switches(edge: &Edge, turns: &mut Vec<Turn>) -> (u64, u64) {
    // Memory is always read at the same point: blue serves again, its switch has just returned, the load goes on.
    let mut readings = Vec::new();
    let begun = Instant::now();
    for _ in 0..SWITCHES / 2 {
        turns.push(turn(edge, "green"));
        turns.push(turn(edge, "blue"));
        readings.push(edge.anonymous_memory());
    }
    let (early, late) = (least(&readings[2..7]), least(&readings[readings.len() - 20..]));
    println!("{SWITCHES} switches in {:?}; {early} KiB, then {late} KiB; {readings:?}", begun.elapsed());
    (early, late)
}

#[test]
fn two_hundred_switches_under_load_lose_nothing_and_leave_nothing_in_memory() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    serves_load(&blue, "blue");
    serves_load(&green, "green");
    let edge = Setup::colors(&blue, &green).health(HEALTH).start();
    let load = Load::start(&edge);
    let mut turns = Vec::new();
    let (early, late) = switches(&edge, &mut turns);
    let is_more = |early: u64, late: u64| late * 100 > early * 105;
    // On a machine so busy that the load has not reached its height by the tenth switch, the next two hundred decide: a leak
    // shows again.
    if is_more(early, late) {
        let (_, last) = switches(&edge, &mut turns);
        assert!(!is_more(late, last), "{early} KiB after the tenth, {late} KiB after 200, {last} KiB after 400");
    }
    load.runs_on();
    load.finish().assert_follows(&turns);
    assert_eq!(edge.status()["generation"], 1 + turns.len());
}

const TUNNELS: usize = 50;

/// Speaks WebSocket and echoes; a Close is answered and ends it.
fn echoes(color: &'static str) -> Origin {
    let origin = Origin::start(color);
    origin.on("/ws", move |_, wire| {
        wire.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Color: {color}\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        ));
        while let Ok((first, _, payload)) = frame(wire) {
            wire.send([&[first, u8::try_from(payload.len()).unwrap()], &*payload].concat());
            if first == 0x88 {
                break;
            }
        }
        Then::Close
    });
    origin
}

/// Sends messages and reads their echoes until a Close comes; returns when it came, and its payload.
fn keep_echoing(mut tunnel: Client) -> (Instant, Vec<u8>) {
    for number in 0.. {
        let text = format!("message {number}");
        tunnel.send(masked(1, text.as_bytes()));
        let (first, is_masked, payload) = frame(&mut tunnel).expect("an echo or a Close");
        let now = Instant::now();
        assert!(!is_masked);
        if first == 0x88 {
            tunnel.send(masked(8, &payload[..2]));
            // The echo may have been on its way. The Close is the last frame.
            assert!(tunnel.closes_within(seconds(5)));
            return (now, payload);
        }
        assert_eq!((first, payload), (0x81, text.into_bytes()));
        thread::sleep(Duration::from_millis(20));
    }
    unreachable!()
}

fn open(edge: &Edge, color: &str) -> JoinHandle<(Instant, Vec<u8>)> {
    let mut tunnel = edge.plain();
    tunnel.begin("GET", "/ws", UPGRADE);
    let head = tunnel.head().expect("an answer");
    assert_eq!((head.word(1), head.get("x-color")), ("101", Some(color)));
    // The thread ends with its tunnel; the test joins it.
    thread::spawn(move || keep_echoing(tunnel))
}

/// Checks that this switch ends the tunnels and nothing before it does: after its deadline, one after another, each with a reason.
fn assert_cut_by(edge: &Edge, color: &str, tunnels: Vec<JoinHandle<(Instant, Vec<u8>)>>) {
    const DRAIN: Duration = Duration::from_millis(1200);
    let begun = Instant::now();
    edge.admin(&["switch", color, "--drain", "1200ms", "--no-wait"]).ok();
    // The drain began at some moment in between, after the gate.
    let returned = begun.elapsed();
    let count = tunnels.len();
    let mut ended = Vec::new();
    for tunnel in tunnels {
        let (at, payload) = tunnel.join().expect("a WebSocket that echoes until it is told to close");
        assert_eq!(payload, closing(1012, "service restart"));
        assert!(at >= begun, "cut {:?} before its switch", begun - at);
        ended.push(at - begun);
    }
    ended.sort_unstable();
    assert!(ended[0] >= DRAIN, "cut before the deadline: {ended:?}");
    assert!(
        ended[count - 1] < returned + DRAIN + seconds(6),
        "cut late, {returned:?} after it was asked for: {ended:?}"
    );
    let near = |from: &Duration| ended.iter().filter(|at| **at >= *from && **at < *from + seconds(1) / 10).count();
    let most = ended.iter().map(near);
    assert!(most.max().unwrap() <= count / 2, "cut all at once: {ended:?}");
}

#[test]
fn fifty_websockets_live_across_ten_switches_until_their_deadline() {
    let (blue, green) = (echoes("blue"), echoes("green"));
    let edge = Setup::colors(&blue, &green).health(HEALTH).start();
    let on_blue: Vec<_> = (0..TUNNELS / 2).map(|_| open(&edge, "blue")).collect();
    edge.admin(&["switch", "green", "--drain", "60s", "--no-wait"]).ok();
    let on_green: Vec<_> = (0..TUNNELS / 2).map(|_| open(&edge, "green")).collect();
    for color in ["blue", "green"].into_iter().cycle().take(10) {
        edge.admin(&["switch", color, "--drain", "60s", "--no-wait"]).ok();
    }
    assert_eq!((blue.count("/ws"), green.count("/ws")), (TUNNELS / 2, TUNNELS / 2));
    assert!(on_blue.iter().chain(&on_green).all(|tunnel| !tunnel.is_finished()), "cut before its deadline");
    assert_cut_by(&edge, "blue", on_green);
    assert!(on_blue.iter().all(|tunnel| !tunnel.is_finished()), "cut with the other colour's");
    assert_cut_by(&edge, "green", on_blue);
    wait_until("all of them to be gone", || edge.metric("edge_http_requests_in_flight") == 0.0);
}
