//! The promises, each tested from outside: real processes, real sockets. One file per promise, one sentence per test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected has failed")]

mod support;

mod acme;
mod acme_hostile;
mod acme_moves;
mod acme_trouble;
mod answers;
mod backend_tls;
mod backends;
mod canary;
mod certificate_files;
mod clock;
mod container;
mod crash;
mod data_path;
mod descriptors;
mod dns;
mod doctor;
mod endurance;
mod failover;
mod framing;
mod h2_requests;
mod headers;
mod internal_ca;
mod kill;
mod limits;
mod management;
mod many_sites;
mod mtls;
mod numbers;
mod paths;
mod outputs;
mod pause;
mod preview;
mod reload;
mod reload_report;
mod retries;
mod rollout;
mod routes;
mod shutdown;
mod slow;
mod startup;
mod sticky;
mod supervision;
mod switch;
mod testssl;
mod ticket;
mod tls;
mod top;
mod turmoil;
mod warmup;
mod watch;
mod watched_files;
mod websocket;
