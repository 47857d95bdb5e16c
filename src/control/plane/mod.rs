//! The control plane: what all operations of all services share, and one operation under way.
//!
//! [`ControlPlane`] has the writer, the history, the ledgers and the orders to the workers. [`Operation`] is one request on its
//! service; the rooms above add what each goal does. `notes` is what an operation writes into the history, `counted` are the
//! words of its metrics. Lives on the control runtime's thread.

mod control_plane;
mod counted;
mod notes;
mod operation;
mod writer;

pub use control_plane::ControlPlane;
pub use counted::{SwitchPhase, SwitchResult};
pub use operation::{EventSender, Operation};
pub use writer::StateWriter;
