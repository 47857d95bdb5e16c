//! A service made from its definition: what serves it comes from the disk, how its backends are verified from the snapshot.

use std::sync::Arc;
use std::time::SystemTime;

use crate::config;
use crate::control::StateFile;
use crate::service::{Active, Service};
use crate::trust::BackendTlsSet;
use crate::types::Color;

/// A service that was not there before.
pub(super) fn added(state: &StateFile, definition: &Arc<config::ServiceConfig>, tls: &BackendTlsSet) -> Arc<Service> {
    let service = Service::new(definition.clone(), initial(state, definition));
    service.verify_backends(tls.of(&definition.name));
    Arc::new(service)
}

/// What serves at the start: what the disk says, else `initial`.
pub(super) fn initial(state: &StateFile, service: &config::ServiceConfig) -> Active {
    let fresh = Active::new(service.initial, 1, SystemTime::now());
    match service.pools {
        config::Pools::BlueGreen { .. } => state.active(&service.name).unwrap_or(fresh),
        // A service without colours may be paused or in maintenance too.
        config::Pools::Single(_) => {
            let known = state.active(&service.name).unwrap_or(fresh);
            Active { color: Color::Blue, previous: None, canary: None, ..known }
        }
    }
}
