//! After a change of the traffic: the new colour's answers are watched, and it loses the traffic again if it breaks its bounds.
//!
//! `verdict` judges, purely. `observe` collects what the colour did until there is a verdict, `own_requests` asks it for the
//! warm-up paths meanwhile, and `watching` acts on the verdict after a flip. A watch is a course in the ledger: it ends without
//! a judgement as soon as another operation moves the traffic.

mod observe;
mod own_requests;
mod verdict;
mod watching;

pub use observe::Watch;
pub use verdict::Bounds;
pub use watching::Watching;
