//! `edgectl status`: what serves, how healthy it is, on which sockets and with which certificates.

use std::time::Duration;

use jiff::Timestamp;

use super::certs;
use super::context::{CommandContext, names};
use super::terminal::CommandFailure;
use super::terminal::span::{clock, since, took_ms};
use super::terminal::table::{Cell, Style, printable, table};
use crate::admin::wire::{
    BackendStatus, ConfigOnDisk, ConfigState, DetourStatus, ListenerStatus, OpenExchanges, PoolStatus, ServiceStatus,
    Status,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// One service; else all
    service: Option<String>,
    /// Show it again each second, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

const REFRESH: Duration = Duration::from_secs(1);

impl Args {
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        context.block_on(async {
            loop {
                let is_read = self.show(context, context.client.status().await?)?;
                if !self.watch || !is_read {
                    return Ok(());
                }
                tokio::time::sleep(REFRESH).await;
            }
        })
    }

    /// False when stdout is closed.
    fn show(&self, context: &CommandContext, mut status: Status) -> Result<bool, CommandFailure> {
        let output = &context.output;
        if let Some(name) = &self.service {
            let known = names(&status.services);
            status.services.retain(|service| service.name == *name);
            if status.services.is_empty() {
                return Err(CommandFailure::usage(format!("no service is called {name:?}; there is {known}")));
            }
        }
        if output.json {
            return Ok(output.try_json(&status).is_ok());
        }
        let text = render(&status, self.service.is_none(), Timestamp::now(), output.color);
        // Home and clear: the screen is redrawn in place.
        let home = if self.watch && output.is_screen() { "\x1b[H\x1b[2J" } else { "" };
        Ok(output.try_show(format!("{home}{text}")).is_ok())
    }
}

/// `whole`: with listeners and certificates, not only the services.
fn render(status: &Status, whole: bool, now: Timestamp, color: bool) -> String {
    let mut parts = vec![summary(status, now, color)];
    parts.extend(config_notice(&status.config_on_disk, now).map(|text| Style::Red.paint(&text, color)));
    let rows: Vec<_> = status.services.iter().flat_map(|service| service_rows(service, now)).collect();
    let head = ["SERVICE", "COLOR", "STATE", "BACKEND", "HEALTH", "LAST PROBE", "IN FLIGHT", "OPEN"];
    parts.push(table(&head, &rows, color));
    parts.extend(status.services.iter().flat_map(|service| notices(service, now, color)));
    let left: Vec<_> = status.services.iter().flat_map(left_rows).collect();
    if !left.is_empty() {
        parts.push(table(&["DRAINING", "COLOR", "STILL INSIDE", "COUNT", "OLDEST"], &left, color));
    }
    let generations = status.services.iter().filter_map(|service| generation_row(service, now));
    parts.push(table(
        &["SERVICE", "ACTIVE", "GENERATION", "SINCE", "PREVIOUS"],
        &generations.collect::<Vec<_>>(),
        color,
    ));
    parts.push(
        status
            .client_ca_errors
            .iter()
            .chain(&status.tls_ca_errors)
            .map(|text| Style::Red.paint(&printable(text), color))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    if whole {
        let listeners: Vec<_> = status.listeners.iter().map(listener_row).collect();
        parts.push(table(&["LISTENER", "BOUND", "KIND"], &listeners, color));
        parts.push(certs::render(&status.certificates, now, color));
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.join("\n\n")
}

fn summary(status: &Status, now: Timestamp, color: bool) -> String {
    let ready = if status.ready { Style::Green.paint("ready", color) } else { Style::Red.paint("not ready", color) };
    let Status { version, connections, .. } = status;
    let (up, config) = (since(status.started, now), status.config.display());
    format!("edgectl {version} · {ready} · up {up} · {connections} connections · {config}")
}

/// `None`: the file says what runs.
fn config_notice(config: &ConfigOnDisk, now: Timestamp) -> Option<String> {
    let (state, meaning) = config_state(config)?;
    let since = config.since.map(|time| format!(" for {}", since(time, now))).unwrap_or_default();
    let details: String = config.details.iter().map(|detail| format!("\n  {}", printable(detail))).collect();
    Some(format!("{state}{since}{meaning}{details}"))
}

/// The same in a few words, and what it means.
pub(super) fn config_state(config: &ConfigOnDisk) -> Option<(&'static str, &'static str)> {
    match &config.state {
        ConfigState::Same | ConfigState::Other(_) => None,
        ConfigState::Differs => Some(("THE CONFIG ON DISK DIFFERS from what runs", "")),
        ConfigState::Broken => Some(("THE CONFIG ON DISK IS BROKEN", ": what runs goes on, a restart would fail")),
    }
}

/// Whatever is unusual, a line each.
fn notices(service: &ServiceStatus, now: Timestamp, color: bool) -> Vec<String> {
    let ago = |time: Option<Timestamp>| time.map(|time| format!(" for {}", since(time, now))).unwrap_or_default();
    let mut notices = Vec::new();
    if let Some(pause) = &service.paused {
        notices.push(format!(
            "PAUSED{}: {} held, each for at most {}",
            ago(pause.since),
            pause.held,
            took_ms(pause.max_ms)
        ));
    }
    if let Some(maintenance) = &service.maintenance {
        notices.push(format!("IN MAINTENANCE{}", ago(maintenance.since)));
    }
    match &service.detour {
        Some(DetourStatus::Failover) => {
            notices.push("FAILOVER: the other colour serves, the active one has no healthy backend".into());
        }
        Some(DetourStatus::Fallback) => notices
            .push("FALLBACK: the canary has no healthy backend, its clients are served by the active colour".into()),
        Some(DetourStatus::Other(_)) | None => notices.extend(outage(service)),
    }
    notices.into_iter().map(|notice| Style::Yellow.paint(&format!("{}: {notice}", service.name), color)).collect()
}

/// Nothing that gets the traffic is healthy; and what would be.
fn outage(service: &ServiceStatus) -> Option<String> {
    let is_healthy = |pool: &&PoolStatus| pool.backends.iter().any(|backend| backend.up && backend.ejected.is_none());
    let serving = service.pools.iter().find(|pool| pool.color == service.active)?;
    if is_healthy(&serving) {
        return None;
    }
    let other = service.pools.iter().filter(|pool| pool.color != service.active).find(is_healthy);
    let way_out = other.and_then(|pool| pool.color).map(|color| {
        let name = &service.name;
        format!("; {color} is healthy: `edgectl switch {color} {name}`")
    });
    Some(format!("NO HEALTHY BACKEND: clients get 503{}", way_out.unwrap_or_default()))
}

fn service_rows(service: &ServiceStatus, now: Timestamp) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = service.pools.iter().flat_map(|pool| pool_rows(service, pool, now)).collect();
    if let Some(name) = rows.first_mut().and_then(|row| row.first_mut()) {
        *name = Cell::new(&service.name, Style::Bold);
    }
    rows
}

/// Only the first row has the pool's name and state.
fn pool_rows(service: &ServiceStatus, pool: &PoolStatus, now: Timestamp) -> Vec<Vec<Cell>> {
    let healthy = pool.backends.iter().map(|backend| backend_row(backend, now));
    let unresolved = pool.unresolved.iter().map(|name| {
        let (address, error) = (Cell::plain(&name.address), Cell::new(&name.error, Style::Red));
        vec![address, Cell::new("unresolved", Style::Red), error, Cell::plain("")]
    });
    let mut rows: Vec<Vec<Cell>> = healthy.chain(unresolved).collect();
    if rows.is_empty() {
        rows.push(vec![Cell::new("no backends", Style::Red)]);
    }
    let blank = || Cell::plain("");
    let first = |cell: Cell, index: usize| if index == 0 { cell } else { blank() };
    let (color, state) = (color_cell(pool), state_cell(service, pool));
    let lead = |index| vec![blank(), first(color.clone(), index), first(state.clone(), index)];
    let open = Cell::plain(open_text(pool.open).unwrap_or_default());
    let last = |index| vec![first(open.clone(), index)];
    rows.into_iter().enumerate().map(|(index, row)| [lead(index), row, last(index)].concat()).collect()
}

/// `3 websockets, 1 tunnel`; `None`: nothing that may stay for ever. Requests a second say nothing about these.
pub(super) fn open_text(open: OpenExchanges) -> Option<String> {
    let OpenExchanges { websockets, event_streams, tunnels } = open;
    let kinds = [(websockets, "websocket"), (event_streams, "event stream"), (tunnels, "tunnel")];
    let present = kinds.into_iter().filter(|(count, _)| *count > 0);
    let texts = present.map(|(count, kind)| format!("{count} {kind}{}", if count == 1 { "" } else { "s" }));
    let text = texts.collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

/// What is still in flight in the pools that drain.
fn left_rows(service: &ServiceStatus) -> Vec<Vec<Cell>> {
    let draining = service.pools.iter().filter(|pool| pool.draining);
    let rows = draining.flat_map(|pool| pool.left.iter().map(move |left| (pool, left)));
    rows.map(|(pool, left)| {
        vec![
            Cell::new(&service.name, Style::Bold),
            color_cell(pool),
            Cell::plain(left.kind.as_str()),
            Cell::plain(left.count.to_string()),
            Cell::plain(format!("{}s", left.oldest_seconds)),
        ]
    })
    .collect()
}

fn color_cell(pool: &PoolStatus) -> Cell {
    pool.color.map_or_else(|| Cell::plain("-"), |color| Cell::new(color.as_str(), color.into()))
}

/// The state of a pool, in a word or two.
pub(super) fn state_cell(service: &ServiceStatus, pool: &PoolStatus) -> Cell {
    if let Some(canary) = service.canary.as_ref().filter(|canary| pool.color == Some(canary.color)) {
        return Cell::new(format!("canary {} %", canary.percent), Style::Yellow);
    }
    if pool.color == service.active {
        Cell::new("active", Style::Bold)
    } else if pool.draining {
        Cell::new("draining", Style::Yellow)
    } else {
        Cell::new("idle", Style::Dim)
    }
}

/// Backend, health, last probe, in flight.
fn backend_row(backend: &BackendStatus, now: Timestamp) -> Vec<Cell> {
    let BackendStatus { address, endpoint, .. } = backend;
    let place = if address.ends_with(endpoint) { address.clone() } else { format!("{address} ({endpoint})") };
    let health = match (&backend.ejected, backend.up) {
        (_, false) => Cell::new("down", Style::Red),
        (Some(ejected), true) => Cell::new(format!("ejected, {} s left", ejected.seconds_left), Style::Yellow),
        (None, true) => Cell::new("up", Style::Green),
    };
    let probe = backend.last_probe.as_ref().map_or_else(
        || "none yet".to_owned(),
        |probe| format!("{} in {}, {} ago", probe.outcome, took_ms(probe.took_ms), since(probe.at, now)),
    );
    vec![Cell::plain(place), health, Cell::plain(probe), Cell::plain(backend.in_flight.to_string())]
}

fn generation_row(service: &ServiceStatus, now: Timestamp) -> Option<Vec<Cell>> {
    let active = service.active?;
    let since = service.since.map(|time| format!("{} ({} ago)", clock(time), since(time, now)));
    Some(vec![
        Cell::new(&service.name, Style::Bold),
        Cell::new(active.as_str(), active.into()),
        Cell::plain(service.generation.map(|number| number.to_string()).unwrap_or_default()),
        Cell::plain(since.unwrap_or_default()),
        Cell::plain(service.previous.map_or("-", |color| color.as_str())),
    ])
}

fn listener_row(listener: &ListenerStatus) -> Vec<Cell> {
    let bound = listener.local.map(|local| local.to_string()).unwrap_or_default();
    let kind = if listener.tls { "https" } else { "http" };
    vec![Cell::plain(&listener.addr), Cell::plain(bound), Cell::plain(kind)]
}
