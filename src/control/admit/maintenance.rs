//! Maintenance: new requests get 503 and a page, at once, until it ends.

use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;

use crate::control::messages::{OperationDone, OperationRefused, OperationResult};
use crate::control::plane::Operation;
use crate::service::{Active, Maintenance};

impl Operation {
    pub async fn maintenance_on(
        &self,
        message: Option<String>,
        allow: Vec<IpNet>,
    ) -> Result<OperationDone, OperationRefused> {
        let maintenance = Arc::new(Maintenance { message, allow, since: SystemTime::now() });
        let on = |now: &Active| Active { maintenance: Some(maintenance), ..now.clone() };
        let done = self.set(None, OperationResult::MaintenanceOn, on).await?;
        // Requests that a pause holds get their 503 at once.
        self.service.let_go();
        Ok(done)
    }

    pub async fn maintenance_off(&self) -> Result<OperationDone, OperationRefused> {
        if self.service.active().maintenance.is_none() {
            return self.unchanged();
        }
        let off = |now: &Active| Active { maintenance: None, ..now.clone() };
        self.set(None, OperationResult::MaintenanceOff, off).await
    }
}
