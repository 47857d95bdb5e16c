//! What every command works with: where to print, the daemon to ask, and the service that is meant.

use std::path::PathBuf;

use super::terminal::{CommandFailure, GlobalOptions, TerminalOutput};
use crate::admin::AdminClient;
use crate::admin::wire::ServiceStatus;
use crate::config::DEFAULT_SOCKET;

/// The environment variable that names the admin socket.
const SOCKET_VARIABLE: &str = "EDGE_SOCKET";

pub struct CommandContext {
    pub output: TerminalOutput,
    pub client: AdminClient,
}

impl CommandContext {
    pub fn new(global: &GlobalOptions) -> Self {
        Self { output: TerminalOutput::new(global), client: AdminClient::new(socket(global)) }
    }

    /// Runs a command's requests to the daemon on a runtime of its own.
    pub fn block_on<T>(&self, work: impl Future<Output = Result<T, CommandFailure>>) -> Result<T, CommandFailure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| CommandFailure::failed(format!("cannot start: {error}")))?.block_on(work)
    }

    /// The service that is meant: `named`, or the only one with two colours. Asks the daemon only without a name.
    pub async fn service_name(&self, named: Option<&str>) -> Result<String, CommandFailure> {
        match named {
            Some(name) => Ok(name.to_owned()),
            None => Ok(self.colored(None).await?.name),
        }
    }

    /// The same for what needs no colours: `named`, or the only service.
    pub async fn any_service(&self, named: Option<&str>) -> Result<String, CommandFailure> {
        if let Some(name) = named {
            return Ok(name.to_owned());
        }
        match self.client.status().await?.services.as_slice() {
            [only] => Ok(only.name.clone()),
            services => Err(CommandFailure::usage(format!(
                "there are several services; name one of them at the end: {}",
                names(services)
            ))),
        }
    }

    /// The coloured service that is meant, with its status.
    pub async fn colored(&self, named: Option<&str>) -> Result<ServiceStatus, CommandFailure> {
        let services = self.client.status().await?.services;
        pick(services, named)
    }
}

/// `--socket`, else `$EDGE_SOCKET`, else the default. An empty variable counts as not set.
fn socket(global: &GlobalOptions) -> PathBuf {
    let variable = std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty());
    global.socket.clone().or(variable.map(PathBuf::from)).unwrap_or_else(|| DEFAULT_SOCKET.into())
}

/// The coloured service called `named`; without a name, the only one there is.
pub(super) fn pick(services: Vec<ServiceStatus>, named: Option<&str>) -> Result<ServiceStatus, CommandFailure> {
    if let Some(name) = named {
        let known = names(&services);
        return match services.into_iter().find(|service| service.name == name) {
            Some(service) if service.active.is_some() => Ok(service),
            Some(_) => Err(CommandFailure::usage(format!("service {name:?} has one pool and no colours"))),
            None => Err(CommandFailure::usage(format!("no service is called {name:?}; there is {known}"))),
        };
    }
    let mut colored: Vec<_> = services.into_iter().filter(|service| service.active.is_some()).collect();
    match (colored.pop(), colored.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => {
            Err(CommandFailure::usage("no service has two colours; give one `blue` and `green` in the config"))
        }
        (Some(last), _) => {
            colored.push(last);
            Err(CommandFailure::usage(format!(
                "several services have colours; name one of them at the end: {}",
                names(&colored)
            )))
        }
    }
}

/// For an error message: `app, shop`.
pub(super) fn names(services: &[ServiceStatus]) -> String {
    match services {
        [] => "none".to_owned(),
        services => services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}
