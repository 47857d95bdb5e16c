//! Failovers in the history: when a colour begins to stand in for the other one, and when it stops.
//!
//! The requests themselves are led by [`crate::service`]; this only records and counts what it does.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::disk::{HistoryAction, HistoryRecord, HistoryResult};
use super::messages::Actor;
use super::plane::ControlPlane;
use crate::service::{Detour, Service};
use crate::supervise::keep_running;

/// The services whose failovers are recorded, each with the task that does it.
#[derive(Default)]
pub struct FollowedServices(HashMap<Arc<str>, (Arc<Service>, JoinSet<()>)>);

impl FollowedServices {
    /// Follows exactly these services from now on.
    pub fn follow<'a>(&mut self, plane: &Rc<ControlPlane>, services: impl Iterator<Item = &'a Arc<Service>>) {
        let mut before = std::mem::take(&mut self.0);
        for service in services {
            let kept = before.remove(service.name()).filter(|(known, _)| Arc::ptr_eq(known, service));
            let entry = kept.unwrap_or_else(|| (service.clone(), follow_one(plane, service)));
            self.0.insert(service.name().clone(), entry);
        }
    }
}

fn follow_one(plane: &Rc<ControlPlane>, service: &Arc<Service>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (plane, service, metrics) = (plane.clone(), service.clone(), plane.shared.metrics.clone());
    // Ends with its set, when the service is not followed any more.
    tasks.spawn_local(keep_running("failover", metrics, move || note_detours(plane.clone(), service.clone())));
    tasks
}

async fn note_detours(plane: Rc<ControlPlane>, service: Arc<Service>) -> String {
    let mut detours = service.watch_detours();
    while detours.changed().await.is_ok() {
        let detour = *detours.borrow_and_update();
        note_detour(&plane, &service, detour);
    }
    "its service is gone".to_owned()
}

fn note_detour(plane: &ControlPlane, service: &Service, detour: Option<Detour>) {
    let active = service.active();
    let name = service.name();
    let (result, detail) = match detour {
        Some(Detour::Failover) => (HistoryResult::Failover, format!("no backend of {} is healthy", active.color)),
        Some(Detour::Fallback) => (HistoryResult::Fallback, "no backend of the canary is healthy".to_owned()),
        None => (HistoryResult::Recovered, "every colour serves its own clients again".to_owned()),
    };
    let word = detour.map_or("recovered", Detour::as_str);
    if detour.is_some() {
        tracing::error!(service = %name, result = word, detail, "the other colour stands in");
    } else {
        tracing::info!(service = %name, result = word, detail, "no colour stands in any more");
    }
    plane.metrics().service(name).detoured(word);
    plane.note(HistoryRecord {
        from: Some(active.color),
        to: (detour == Some(Detour::Failover)).then(|| active.color.other()),
        detail: Some(detail),
        ..HistoryRecord::new(name, HistoryAction::Failover, Actor::daemon(), result, active.generation)
    });
}
