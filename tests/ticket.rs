//! A client of a canary gets a cookie once and keeps its colour by it. No client can make such a cookie.

use crate::support::{Answer, Client, Edge, Origin, Setup};

const CLIENTS: usize = 20;

fn start() -> (Origin, Origin, Edge) {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let edge = Setup::colors(&blue, &green).start();
    (blue, green, edge)
}

fn with(mut client: Client, cookie: &str) -> Answer {
    client.ask("GET", "/", &format!("Cookie: a=1; {cookie}\r\n"), "")
}

/// The cookie that an answer sets, without its attributes.
fn ticket_of(answer: &Answer) -> Option<String> {
    answer.get("set-cookie").map(|set| set.split(';').next().unwrap().to_owned())
}

/// New clients: the colour and the cookie that each of them got.
fn clients(edge: &Edge) -> Vec<(String, String)> {
    let new = (0..CLIENTS).map(|_| edge.get("/"));
    new.map(|answer| (answer.text(), ticket_of(&answer).unwrap_or_else(|| panic!("{:?}", answer.head)))).collect()
}

fn greens<'a>(colors: impl Iterator<Item = &'a String>) -> usize {
    colors.filter(|color| *color == "green").count()
}

#[test]
fn a_client_keeps_its_colour_and_a_larger_share_keeps_the_clients_it_has() {
    let (blue, green, edge) = start();
    assert_eq!(ticket_of(&edge.get("/")), None, "without a canary no cookie is set");
    edge.admin(&["canary", "green", "25"]).ok();
    let first = edge.get("/");
    assert!(first.get("set-cookie").unwrap().ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{:?}", first.head);
    assert!(edge.tls("app.test").get("/").get("set-cookie").unwrap().ends_with("; SameSite=Lax; Secure"));
    let drawn = clients(&edge);
    assert!((4..=6).contains(&greens(drawn.iter().map(|(color, _)| color))), "{drawn:?}");
    for (color, cookie) in &drawn {
        assert!(cookie.starts_with("edge_canary_app="), "{cookie}");
        let again = with(edge.plain(), cookie);
        assert_eq!((&again.text(), ticket_of(&again)), (color, None), "the cookie is set once");
    }
    edge.admin(&["canary", "green", "60"]).ok();
    let grown: Vec<String> = drawn.iter().map(|(_, cookie)| with(edge.plain(), cookie).text()).collect();
    assert!((11..=13).contains(&greens(grown.iter())), "{grown:?}");
    for ((before, _), after) in drawn.iter().zip(&grown) {
        assert!(before == "blue" || after == "green", "a client of the canary stays in it");
    }
    for origin in [&blue, &green] {
        assert_eq!(origin.saw("/").head.get("cookie"), Some("a=1"), "our cookie does not reach the backend");
    }
    assert_eq!(edge.admin(&["status", "--json"]).ok().json()["services"][0]["canary"]["percent"], 60);
    edge.admin(&["canary", "off"]).ok();
    assert!(drawn.iter().all(|(_, cookie)| with(edge.plain(), cookie).text() == "blue"));
}

#[test]
fn a_ticket_that_is_forged_or_of_an_earlier_canary_is_ignored() {
    let (_blue, _green, edge) = start();
    edge.admin(&["canary", "green", "0"]).ok();
    let ticket = ticket_of(&edge.get("/")).unwrap();
    let (payload, signature) = ticket.rsplit_once('.').unwrap();
    let (id, number) = payload.rsplit_once('.').unwrap();
    let other = if number == "0" { "1" } else { "0" };
    for forged in [format!("{id}.{other}.{signature}"), format!("{payload}."), "edge_canary_app=".to_owned()] {
        let answer = with(edge.plain(), &forged);
        assert_eq!(answer.text(), "blue", "{forged}");
        assert!(ticket_of(&answer).is_some_and(|next| next != forged), "a new ticket is drawn: {forged}");
    }
    let both = format!("edge_canary_app=0.0.x; {ticket}");
    assert_eq!(ticket_of(&with(edge.plain(), &both)), None, "a forged ticket does not hide the true one");
    edge.admin(&["canary", "off", "--no-wait"]).ok();
    edge.admin(&["canary", "green", "100"]).ok();
    let answer = with(edge.plain(), &ticket);
    assert_eq!(answer.text(), "green");
    assert!(ticket_of(&answer).is_some_and(|next| next != ticket), "the ticket is of an earlier canary");
}

#[test]
fn a_ticket_survives_a_restart() {
    let (_blue, _green, mut edge) = start();
    edge.admin(&["canary", "green", "50"]).ok();
    let drawn = clients(&edge);
    edge.kill();
    edge.start_again();
    for (color, cookie) in &drawn {
        let again = with(edge.plain(), cookie);
        assert_eq!((&again.text(), ticket_of(&again)), (color, None));
    }
}
