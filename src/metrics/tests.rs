//! The exposition as a scraper reads it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use http::Method;

use super::{HandshakeResult, LimitMode, MetricKind, Metrics, Text};
use crate::types::{Color, TlsVersion};

const MS: Duration = Duration::from_millis(1);

/// A strict reader of the text format: samples by name and labels as they stand.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut families = HashSet::new();
    let mut family = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split_once(' ').unwrap().0.to_owned();
            assert!(families.insert(family.clone()), "family {family} twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram"].contains(&kind));
        } else {
            let (series, value) = sample(line);
            assert!(series.starts_with(&family), "{line} in family {family}");
            assert!(samples.insert(series, value).is_none(), "{line} twice");
        }
    }
    samples
}

/// `name{label="value",...} number`, nothing else.
fn sample(line: &str) -> (String, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    if let Some((_, labels)) = series.split_once('{') {
        let mut rest = labels.strip_suffix('}').unwrap();
        while !rest.is_empty() {
            let (name, after) = rest.split_once("=\"").unwrap();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
            rest = after_quoted(after);
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
    }
    (series.to_owned(), value.replace("+Inf", "inf").parse().unwrap())
}

fn after_quoted(text: &str) -> &str {
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return &text[at + 1..],
            '\\' => assert!(matches!(chars.next(), Some((_, '\\' | '"' | 'n')))),
            _ => {}
        }
    }
    panic!("no closing quote in {text}");
}

fn scrape(metrics: &Metrics) -> BTreeMap<String, f64> {
    parse(&metrics.render(&mut |_| {}))
}

#[test]
fn requests_of_all_workers_add_up() {
    let metrics = Arc::new(Metrics::new(4));
    let threads: Vec<_> = (0..4)
        .map(|worker| {
            let series = metrics.series("example.com", "app");
            thread::spawn(move || {
                for _ in 0..10_000 {
                    series.record(worker, Some(Color::Blue), &Method::GET, 200, 3 * MS, 10);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let samples = scrape(&metrics);
    let of = "site=\"example.com\",service=\"app\",color=\"blue\"";
    let total = format!("edge_http_requests_total{{{of},method=\"GET\",code=\"200\"}}");
    assert_eq!(samples[&total], 40_000.0);
    let bucket = |le: &str| samples[&format!("edge_http_request_duration_seconds_bucket{{{of},le=\"{le}\"}}")];
    assert_eq!([bucket("0.0025"), bucket("0.005"), bucket("+Inf")], [0.0, 40_000.0, 40_000.0]);
    assert_eq!(samples[&format!("edge_http_request_duration_seconds_sum{{{of}}}")], 120.0);
    assert_eq!(samples["edge_http_response_bytes_total{site=\"example.com\"}"], 400_000.0);
}

#[test]
fn a_reload_keeps_the_counts() {
    let metrics = Metrics::new(1);
    for _ in 0..2 {
        let series = metrics.series("a", "app");
        series.record(0, None, &Method::POST, 404, MS, 0);
        metrics.service("app").retried(None);
        metrics.zone("api").limited(LimitMode::Refused);
    }
    let samples = scrape(&metrics);
    let total = "edge_http_requests_total{site=\"a\",service=\"app\",color=\"\",method=\"POST\",code=\"404\"}";
    assert_eq!(samples[total], 2.0);
    assert_eq!(samples["edge_upstream_retries_total{service=\"app\",color=\"\"}"], 2.0);
    assert_eq!(samples["edge_rate_limited_total{zone=\"api\",mode=\"refused\"}"], 2.0);
    assert_eq!(samples["edge_rate_limited_total{zone=\"api\",mode=\"dry_run\"}"], 0.0);
}

#[test]
fn bytes_of_a_site_add_up_over_its_services() {
    let metrics = Metrics::new(1);
    for (site, service) in [("a", ""), ("a", "app"), ("b", "app")] {
        metrics.series(site, service).record(0, None, &Method::GET, 200, MS, 5);
    }
    let samples = scrape(&metrics);
    assert_eq!(samples["edge_http_response_bytes_total{site=\"a\"}"], 10.0);
    assert_eq!(samples["edge_http_response_bytes_total{site=\"b\"}"], 5.0);
}

#[test]
fn no_request_can_add_a_series_of_its_own() {
    let metrics = Metrics::new(1);
    let series = metrics.series("a", "app");
    for status in 0..2000 {
        let method = Method::from_bytes(format!("M{status}").as_bytes()).unwrap();
        series.record(0, None, &method, status, MS, 0);
    }
    let samples = scrape(&metrics);
    let requests = samples.keys().filter(|name| name.starts_with("edge_http_requests_total"));
    assert_eq!(requests.count(), 68);
    series.record(7, None, &Method::GET, 200, MS, 0);
}

#[test]
fn rare_events_are_told() {
    let metrics = Metrics::new(1);
    let service = metrics.service("app");
    service.failed(Some(Color::Green), "connect_refused");
    service.switched("done");
    service.phase("gate", 3 * MS);
    metrics.tls_handshake(HandshakeResult::Ok(TlsVersion::V1_3));
    metrics.reloaded(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    metrics.reload_failed();
    let samples = scrape(&metrics);
    for (name, value) in [
        ("edge_upstream_failures_total{service=\"app\",color=\"green\",reason=\"connect_refused\"}", 1.0),
        ("edge_switches_total{service=\"app\",result=\"done\"}", 1.0),
        ("edge_switch_duration_seconds_count{service=\"app\",phase=\"gate\"}", 1.0),
        ("edge_tls_handshakes_total{version=\"1.3\",result=\"ok\"}", 1.0),
        ("edge_config_reloads_total{result=\"failure\"}", 1.0),
        ("edge_config_last_reload_success_timestamp_seconds", 1_700_000_000.0),
    ] {
        assert_eq!(samples[name], value, "{name}");
    }
}

#[test]
fn gauges_from_elsewhere_are_written_and_escaped() {
    let text = Metrics::new(1).render(&mut |text: &mut Text| {
        text.family("edge_backend_up", "Line one\nand \\ two.", MetricKind::Gauge);
        text.sample(&[("backend", "a\"b\\c\nd")], true);
        text.family("edge_half", "Half.", MetricKind::Gauge);
        text.sample(&[], 0.5);
    });
    parse(&text);
    assert!(text.contains("# HELP edge_backend_up Line one\\nand \\\\ two.\n"));
    assert!(text.contains("edge_backend_up{backend=\"a\\\"b\\\\c\\nd\"} 1\n"));
    assert!(text.ends_with("edge_half 0.5\n"));
}

#[test]
fn outcomes_add_up_over_sites_and_workers_by_colour() {
    let metrics = Metrics::new(2);
    for (worker, site) in [(0, "a"), (1, "a"), (0, "b")] {
        let series = metrics.series(site, "app");
        series.outcome(worker, Some(Color::Blue), false, Some(3 * MS));
        series.outcome(worker, Some(Color::Green), true, None);
    }
    metrics.series("a", "other").outcome(0, None, true, Some(MS));
    let [blue, green] = metrics.totals("app");
    assert_eq!((blue.requests, blue.failed, blue.error_rate()), (3, 0, 0.0));
    assert_eq!((green.requests, green.failed, green.error_rate()), (3, 3, 1.0));
    assert_eq!(green.quantile(0.5), None);
    let median = blue.quantile(0.5).unwrap();
    assert!(median > MS * 27 / 10 && median < MS * 33 / 10, "{median:?}");
    let [only, none] = metrics.totals("other");
    assert_eq!((only.requests, only.failed, none.requests), (1, 1, 0));
    assert_eq!(metrics.totals("no such service")[0].requests, 0);
}

#[test]
fn what_a_service_did_lately_is_at_hand() {
    let metrics = Metrics::new(1);
    let series = metrics.series("a", "app");
    let begin = Instant::now();
    let app = Arc::from("app");
    metrics.sample([&app].into_iter(), begin);
    for _ in 0..20 {
        series.outcome(0, Some(Color::Green), false, Some(MS));
    }
    let now = begin + Duration::from_secs(2);
    metrics.sample([&app].into_iter(), now);
    let window = Duration::from_secs(10);
    assert_eq!(metrics.recents().over("app", Some(Color::Green), window, now).unwrap().requests, 20);
    assert_eq!(metrics.recents().per_second("app", Some(Color::Green), window, now), Some(10.0));
    assert_eq!(metrics.recents().per_second("app", Some(Color::Blue), window, now), Some(0.0));
}
