//! Proof that a proxy does what its figures are said to include: it answers whole, sets the headers both ways and passes
//! its request id up and down. A config that silently turned a feature off must not win a bench.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::sites::PLAIN_HOST;
use super::{HSTS, Peer, SECURITY_HEADERS};
use crate::load::h1::{Answer, Connection};
use crate::load::request::{KIB_64, Page, Request, Shape};
use crate::load::{Door, tcp};
use crate::origin::server::{body, field};

/// A backend that starts as down needs its probes to pass before anything is served. Under valgrind on a busy machine that is long.
const START: Duration = Duration::from_secs(80);
const HEALTH: Page = Page { path: "/health/", len: 2 };
const ECHO: Page = Page { path: "/echo", len: 0 };

/// Waits until both listeners answer 200.
pub async fn ready(peer: &mut Peer) -> Result<()> {
    let deadline = Instant::now() + START;
    loop {
        peer.alive()?;
        let error = match both(peer, HEALTH).await {
            Ok(answers) if answers.iter().all(|answer| answer.status == 200) => return Ok(()),
            Ok(answers) => anyhow::anyhow!("answered {} in the clear, {} on TLS", answers[0].status, answers[1].status),
            Err(error) => error,
        };
        if Instant::now() > deadline {
            return Err(error.context(format!("not ready after {} s", START.as_secs())));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Security headers and request id to the client; forwarded headers and the same id to the backend; the body untouched.
pub async fn features(peer: &Peer) -> Result<()> {
    let echoes = both(peer, ECHO).await?;
    let secure = peer.sites.host(Door::H1Tls);
    for (answer, scheme, host) in [(&echoes[0], "http", PLAIN_HOST), (&echoes[1], "https", secure)] {
        let upstream = String::from_utf8_lossy(&answer.body);
        let door = format!("on {scheme}: the client got\n{}\nthe origin got\n{upstream}", answer.head);
        for (name, _) in SECURITY_HEADERS.iter().chain((scheme == "https").then_some(&HSTS)) {
            ensure!(field(&answer.head, name).is_some(), "no {name} {door}");
        }
        let id = field(&answer.head, "x-request-id").with_context(|| format!("no request id {door}"))?;
        ensure!(field(&upstream, "x-forwarded-port").is_some(), "no x-forwarded-port {door}");
        for (name, value) in [
            ("host", host),
            ("x-request-id", id),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", scheme),
            ("x-forwarded-host", host),
            ("x-real-ip", "127.0.0.1"),
        ] {
            let got = field(&upstream, name);
            ensure!(got == Some(value), "{name} went upstream as {got:?}, not {value:?}, {door}");
        }
    }
    for answer in both(peer, KIB_64).await? {
        ensure!(answer.body == body(KIB_64), "the body of {} arrived changed", KIB_64.path);
    }
    Ok(())
}

/// The page in the clear and over TLS.
async fn both(peer: &Peer, page: Page) -> Result<[Answer; 2]> {
    let ask = async {
        let plain = fetch(tcp(peer.plain.addr).await?, &Request::new(false, PLAIN_HOST, page, Shape::Small)?).await?;
        let tls = fetch(
            peer.tls.tls.h1(peer.tls.addr).await?,
            &Request::new(true, peer.sites.host(Door::H1Tls), page, Shape::Small)?,
        )
        .await?;
        anyhow::Ok([plain, tls])
    };
    timeout(Duration::from_secs(5), ask).await.context("no answer within 5 s")?
}

async fn fetch<S: AsyncRead + AsyncWrite + Unpin>(io: S, request: &Request) -> Result<Answer> {
    Connection::new(io).fetch(request).await
}
