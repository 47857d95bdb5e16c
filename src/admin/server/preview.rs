//! Preview links: signed here, checked by [`crate::http`]. A link shows its colour until it expires, whatever serves.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::call::Call;
use super::goals::{AskedGoal, color, duration};
use crate::admin::state::AdminState;
use crate::admin::wire::{PreviewBody, PreviewLink, Problem, ProblemCode, Written};
use crate::config::{ActionConfig, Config, RouteConfig, RoutePath, SiteConfig, SiteTls};
use crate::control::{Goal, OperationOptions};
use crate::site::encoded;
use crate::token::Preview;
use crate::types::{HostPattern, ListenAddr, show_duration};

const USUAL: Duration = Duration::from_hours(1);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// A link for the colour that is asked for. It is valid once this has returned, and stays valid over restarts.
pub async fn mint(state: &AdminState, call: Call<PreviewBody>) -> Result<PreviewLink, Problem> {
    let Call { service, body: PreviewBody { color: asked, ttl: lifetime, reason }, caller, .. } = call;
    let (color, ttl) = (color(asked)?, ttl(lifetime)?);
    let snapshot = state.shared.snapshot.load_full();
    // Control refuses a service that is unknown or has no colours.
    let is_fit = snapshot.services.get(service.as_str()).is_some_and(|service| service.is_colored());
    let addresses = if is_fit { addresses(&snapshot.config, &service)? } else { Vec::new() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let preview = Preview { color, expires: (now + ttl).as_secs() };
    let until = UNIX_EPOCH + Duration::from_secs(preview.expires);
    let goal = Goal::Preview { color, until };
    let asked = AskedGoal { goal, options: OperationOptions::default(), if_generation: None, reason };
    let (unheard, _) = mpsc::unbounded_channel();
    state.control.run(asked.request(service.clone(), caller.actor()), unheard).await?;
    let token = preview.token(&state.shared.signer, &service);
    let mut urls = addresses.iter().map(|address| format!("{address}?edge_preview={token}"));
    let (url, others) = (urls.next().unwrap_or_default(), urls.collect());
    let expires = Timestamp::try_from(until).unwrap_or_else(|_| Timestamp::now());
    Ok(PreviewLink { service, color, url, others, expires })
}

fn ttl(written: Option<Written<Duration>>) -> Result<Duration, Problem> {
    let ttl = duration("ttl", written)?.unwrap_or(USUAL);
    if (SHORTEST..=LONGEST).contains(&ttl) {
        return Ok(ttl);
    }
    Err(Problem::new(ProblemCode::BadDuration, format!("ttl: {} is not from 1s to 30d", show_duration(ttl))))
}

/// The addresses of the service for browsers: one for each site that has a route to it and a host with a name. Never empty.
fn addresses(config: &Config, service: &str) -> Result<Vec<String>, Problem> {
    let leads = |route: &&RouteConfig| matches!(&route.action, ActionConfig::Service(name) if **name == *service);
    let sites = config.sites.iter().filter_map(|site| {
        let route = site.routes.iter().filter(leads).min_by_key(|route| path(route).len())?;
        Some((site, path(route)))
    });
    let sites: Vec<(&SiteConfig, &str)> = sites.collect();
    let found: Vec<String> = sites.iter().filter_map(|(site, path)| address(config, site, path)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let detail = match sites.first() {
        None => format!("service {service:?}: no site has a route to it, so there is no address to look at it"),
        Some((site, _)) => {
            let hosts: Vec<String> = site.hosts.iter().map(ToString::to_string).collect();
            format!(
                "service {service:?} is reached under {} alone, which is no host for a link; add one such as \
                 \"preview.example.com\" to the site's hosts",
                hosts.join(", ")
            )
        }
    };
    Err(Problem::new(ProblemCode::NoHost, detail))
}

fn path(route: &RouteConfig) -> &str {
    match &route.path {
        RoutePath::Prefix(path) | RoutePath::Exact(path) => path,
    }
}

fn address(config: &Config, site: &SiteConfig, path: &str) -> Option<String> {
    let named = site.hosts.iter().find_map(|host| match host {
        HostPattern::Exact(name) => Some(name),
        HostPattern::Wildcard(_) | HostPattern::Any => None,
    });
    let host = site.canonical_host.as_ref().or(named)?;
    let (scheme, listeners, usual) = match site.tls {
        SiteTls::Off => ("http", &config.server.http, 80),
        SiteTls::Auto | SiteTls::Acme | SiteTls::Internal => ("https", &config.server.https, 443),
    };
    let port = listeners.iter().find_map(|listener| match listener {
        ListenAddr::Tcp(addr) => Some(addr.port()),
        ListenAddr::Unix(_) => None,
    });
    let port = port.filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}{}", encoded(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn found(sites: &str) -> Result<Vec<String>, String> {
        let text = format!("{sites}\n[service.app]\nblue = [\"127.0.0.1:1\"]\ngreen = [\"127.0.0.1:2\"]\n");
        let loaded = config::parse("edge.toml", &text, &|_| None).unwrap();
        addresses(&loaded.config, "app").map_err(|problem| problem.detail)
    }

    #[test]
    fn a_link_leads_to_an_address_of_the_service() {
        let site = "[[site]]\nhosts = [\"*.app.test\", \"app.test\"]\nservice = \"app\"\n";
        assert_eq!(found(site).unwrap(), ["https://app.test/"]);
        let ports = "[server]\nhttps = [\"127.0.0.1:8443\"]\nhttp = [\"127.0.0.1:80\"]\n";
        assert_eq!(found(&format!("{ports}{site}")).unwrap(), ["https://app.test:8443/"]);
        assert_eq!(found(&format!("{ports}{site}tls = \"off\"\n")).unwrap(), ["http://app.test/"]);
        let two = format!("{site}canonical_host = \"www.app.test\"\n")
            .replace("\"app.test\"", "\"app.test\", \"www.app.test\"");
        let api = "[[site]]\nhosts = [\"api.test\"]\nrespond = { status = 404 }\n[[site.route]]\npath = \"/v1/\"\nservice = \"app\"\n";
        assert_eq!(found(&format!("{two}{api}")).unwrap(), ["https://www.app.test/", "https://api.test/v1/"]);
    }

    #[test]
    fn hosts_without_a_name_are_reported() {
        let site = "[[site]]\nhosts = [\"*.app.test\"]\nservice = \"app\"\n";
        assert!(found(site).unwrap_err().contains("under *.app.test alone"), "{:?}", found(site));
        let none = "[[site]]\nhosts = [\"app.test\"]\nrespond = { status = 404 }\n";
        assert!(found(none).unwrap_err().contains("no site has a route"), "{:?}", found(none));
    }

    #[test]
    fn a_link_lives_from_a_second_to_thirty_days() {
        assert_eq!(ttl(None).unwrap(), USUAL);
        let written = |text: &str| serde_json::from_value(text.into()).unwrap();
        assert_eq!(ttl(written("30d")).unwrap(), LONGEST);
        for wrong in ["999ms", "31d", "soon"] {
            assert_eq!(ttl(written(wrong)).unwrap_err().code, ProblemCode::BadDuration, "{wrong}");
        }
    }
}
