//! What the screen shows, and what keys do to it, without a terminal.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::model::{Notice, OrderKind, PressedKey, SwitchOrder, TopEffect, TopInput, TopModel};
use super::view::render;
use crate::admin::wire::{
    CanaryStatus, DetourStatus, EjectedStatus, MaintenanceStatus, PauseStatus, ServiceStatus, Status,
};
use crate::types::Color;

/// The status of a newer daemon, with fields that are unknown here.
fn status(generation: u64, requests: u64) -> Status {
    let (active, previous, idle) =
        if generation.is_multiple_of(2) { ("green", "blue", "blue") } else { ("blue", "green", "green") };
    let backend = |port: u16, up: bool| {
        json!({ "address": format!("app:{port}"), "endpoint": format!("10.0.0.7:{port}"), "up": up, "in_flight": 2,
            "last_probe": { "at": "2026-03-01T17:00:00Z", "took_ms": 1, "passed": up, "outcome": "got 503" } })
    };
    let pool = |color: &str, draining: bool| {
        json!({ "color": color, "in_flight": 7, "draining": draining, "requests": requests, "failed": 3,
            "per_second": 12.34, "per_second_now": 0.0, "open": { "websockets": 3, "event_streams": 1 }, "error_rate": 0.05, "p50_ms": 1.23, "p95_ms": 456.7, "mood": "good",
            "backends": [backend(8000, true), backend(8001, false)], "unresolved": [] })
    };
    let one = json!({ "color": null, "in_flight": 0, "draining": false, "backends": [], "unresolved": [] });
    serde_json::from_value(json!({
        "version": "9.9.9", "config": "edge.toml", "started": "2026-03-01T17:00:00Z", "ready": true, "connections": 5,
        "weather": "fine", "certificates": [], "listeners": [],
        "services": [
            { "name": "app", "active": active, "previous": (generation > 1).then_some(previous), "idle": idle,
              "generation": generation, "since": null,
              "pools": [pool("blue", active == "green"), pool("green", false)] },
            { "name": "docs", "active": null, "previous": null, "idle": null, "generation": null, "since": null,
              "pools": [one] },
        ],
    }))
    .unwrap()
}

/// Has seen a few statuses, and a switch if `generation` is above 1.
fn model(generation: u64) -> TopModel {
    let (mut model, begin) = (TopModel::default(), Instant::now());
    for second in 0..5 {
        let seen = if second < 3 { 1.min(generation) } else { generation };
        let status = status(seen, second * 50);
        model.take(TopInput::Status(Box::new(Ok(status)), begin + Duration::from_secs(second)));
    }
    model
}

fn screen(model: &TopModel, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| render(model, true, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells: Vec<&str> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    cells.chunks(width.max(1).into()).map(|line| line.concat().trim_end().to_owned() + "\n").collect()
}

#[track_caller]
fn assert_shows(screen: &str, texts: &[&str]) {
    for text in texts {
        assert!(screen.contains(text), "no {text:?} in\n{screen}");
    }
}

#[test]
fn both_colours_are_seen_side_by_side() {
    let screen = screen(&model(1), 100, 30);
    assert_shows(&screen, &["edgectl 9.9.9 · ready · 5 connections", "blue serves · generation 1", "▸ app", "docs"]);
    let titles = screen.lines().find(|line| line.contains("● blue · active")).unwrap();
    assert!(titles.contains("green · idle"), "{titles}");
    assert_shows(&screen, &["0.0 req/s now   12.3 mean of 10s", "5.0% errors   p50 1.2ms   p95 457ms"]);
    assert_shows(
        &screen,
        &["7 in flight: 3 websockets, 1 event stream open", "blue 0.0 req/s 5.0% 3 websockets, 1 event stream open"],
    );
    assert_shows(&screen, &["up   app:8000 (10.0.0.7:8000) 2 in flight", "down app:8001 (10.0.0.7:8001) got 503"]);
    assert_shows(&screen, &["the highest bar is 50.0", "s switch"]);
}

#[test]
fn a_switch_is_seen_in_the_trail() {
    let screen = screen(&model(2), 100, 30);
    assert_shows(&screen, &["green serves · generation 2 · blue before", "● green · active", "blue · draining", "▲2"]);
}

#[test]
fn no_size_is_too_small_and_none_too_large() {
    let mut asking = model(2);
    asking.take(TopInput::Key(PressedKey::Switch));
    for model in [TopModel::default(), model(2), asking] {
        for (width, height) in (1..=40).flat_map(|width| (1..=20).map(move |height| (width, height))) {
            screen(&model, width, height);
        }
        for (width, height) in [(1, 200), (500, 1), (400, 120), (80, 24)] {
            screen(&model, width, height);
        }
    }
}

#[test]
fn a_question_is_seen_where_little_else_is() {
    let mut model = model(1);
    model.take(TopInput::Key(PressedKey::Switch));
    for height in 2..6 {
        assert_shows(&screen(&model, 60, height), &["switch app to green (generation 1 now)? y/n"]);
    }
}

#[test]
fn a_yes_switches_what_was_seen() {
    let mut model = model(1);
    assert_eq!(model.take(TopInput::Key(PressedKey::Switch)), TopEffect::Nothing);
    // Another operator switches meanwhile: the order still names the generation of the question.
    model.take(TopInput::Status(Box::new(Ok(status(2, 0))), Instant::now()));
    let order = SwitchOrder { kind: OrderKind::Switch, service: "app".into(), to: Color::Green, generation: 1 };
    assert_eq!(model.take(TopInput::Key(PressedKey::Yes)), TopEffect::Run(order.clone()));
    let body = order.switch_body();
    assert_eq!((body.color, body.if_generation, body.wait), (Some(Color::Green.into()), Some(1), false));
    model.take(TopInput::Key(PressedKey::Switch));
    assert_shows(&screen(&model, 100, 30), &["app is being switched from here already"]);
    model.take(TopInput::Ended { service: "app".into(), notice: Notice::bad("someone has switched it") });
    assert_shows(&screen(&model, 100, 30), &["someone has switched it"]);
    model.take(TopInput::Key(PressedKey::Switch));
    assert_shows(&screen(&model, 100, 30), &["switch app to blue (generation 2 now)? y/n"]);
}

#[test]
fn whatever_is_not_a_yes_is_a_no() {
    for key in [PressedKey::No, PressedKey::Quit, PressedKey::Up, PressedKey::Rollback] {
        let mut model = model(2);
        model.take(TopInput::Key(PressedKey::Rollback));
        assert_shows(&screen(&model, 100, 30), &["roll app back to blue (generation 2 now)? y/n"]);
        assert_eq!(model.take(TopInput::Key(key)), TopEffect::Nothing);
        assert_shows(&screen(&model, 100, 30), &["nothing was changed"]);
        assert_eq!(model.take(TopInput::Key(PressedKey::Yes)), TopEffect::Nothing);
    }
    let mut model = model(2);
    model.take(TopInput::Key(PressedKey::Rollback));
    assert_eq!(model.take(TopInput::Key(PressedKey::Break)), TopEffect::Leave);
}

#[test]
fn what_can_not_be_done_is_shown() {
    let mut first = model(1);
    first.take(TopInput::Key(PressedKey::Rollback));
    assert_shows(&screen(&first, 100, 30), &["there is no colour to go back to"]);
    first.take(TopInput::Key(PressedKey::Down));
    first.take(TopInput::Key(PressedKey::Down));
    first.take(TopInput::Key(PressedKey::Switch));
    assert_shows(&screen(&first, 100, 30), &["▸ docs", "docs has one pool"]);
    let mut nothing = TopModel::default();
    nothing.take(TopInput::Key(PressedKey::Switch));
    assert_shows(&screen(&nothing, 100, 30), &["there is no service"]);
}

/// A model after one status, with a change in the first service.
fn model_with(generation: u64, change: impl FnOnce(&mut ServiceStatus)) -> TopModel {
    let mut status = status(generation, 0);
    change(&mut status.services[0]);
    let mut model = TopModel::default();
    model.take(TopInput::Status(Box::new(Ok(status)), Instant::now()));
    model
}

#[test]
fn a_way_back_from_a_canary_is_asked_for_as_its_end() {
    for generation in [1, 3] {
        let canary = CanaryStatus { color: Color::Green, percent: 5 };
        let mut model = model_with(generation, |service| service.canary = Some(canary));
        model.take(TopInput::Key(PressedKey::Rollback));
        let question = format!("end the canary of app: all clients to blue (generation {generation} now)? y/n");
        assert_shows(&screen(&model, 100, 30), &["canary 5 %", &question]);
        let order = SwitchOrder { kind: OrderKind::EndCanary, service: "app".into(), to: Color::Blue, generation };
        assert_eq!(model.take(TopInput::Key(PressedKey::Yes)), TopEffect::Run(order));
    }
}

#[test]
fn what_is_out_of_the_ordinary_is_seen() {
    let held = model_with(1, |service| {
        service.paused = Some(PauseStatus { since: None, max_ms: 30_000, held: 12 });
        service.maintenance = Some(MaintenanceStatus { since: None, message: None, allow: Vec::new() });
        service.detour = Some(DetourStatus::Failover);
        let why = "3 failures in a row".to_owned();
        service.pools[0].backends[0].ejected = Some(EjectedStatus { seconds_left: 8, why });
    });
    let wide = screen(&held, 100, 30);
    assert_shows(&wide, &["PAUSED, 12 held", "IN MAINTENANCE", "FAILOVER", "out  app:8000 (10.0.0.7:8000) ejected"]);
    assert_shows(&screen(&held, 50, 30), &["PAUSED, 12 held", "IN MAINTENANCE", "FAILOVER"]);
}

#[test]
fn a_daemon_that_is_gone_is_shown_and_gets_no_orders() {
    let mut model = model(1);
    model.take(TopInput::Key(PressedKey::Switch));
    model.take(TopInput::Status(Box::new(Err("no daemon answers".into())), Instant::now()));
    assert_shows(&screen(&model, 100, 30), &["not reachable, this is old", "trying again: no daemon answers"]);
    assert_eq!(model.take(TopInput::Key(PressedKey::Yes)), TopEffect::Nothing);
    model.take(TopInput::Key(PressedKey::Switch));
    assert_eq!(model.take(TopInput::Key(PressedKey::Yes)), TopEffect::Nothing);
    model.take(TopInput::Status(Box::new(Ok(status(1, 0))), Instant::now()));
    assert_shows(&screen(&model, 100, 30), &["ready"]);
}
