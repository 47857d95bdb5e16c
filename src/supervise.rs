//! Tasks that run as long as the daemon: one that ends is started again, and is never missing silently.
//!
//! Owns the rule, not the tasks: whoever spawns one that has no end of its own (a prober, a listener, a keeper) wraps it in
//! [`keep_running`]. What has an end (an operation, one connection, one request) is not for here: its caller gets an error. A
//! worker that ends takes the process with it ([`crate::worker::Workers::lost`]).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::metrics::Metrics;

/// The pause before the first new start; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A task that has run for so long is well: its next end is a first one.
const WELL: Duration = Duration::from_mins(1);

/// Runs what `make` makes, again and again; `task` is its name in the log and in the metric. What it returns is why it has ended.
///
/// Runs on the current thread, and ends with the task that awaits it.
pub async fn keep_running<F>(task: &'static str, metrics: Arc<Metrics>, mut make: impl FnMut() -> F)
where
    F: Future<Output = String> + 'static,
{
    let restarts = metrics.task_restarts(task);
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let why = run_once(task, &mut make).await;
        restarts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if begun.elapsed() > WELL {
            pause = FIRST_PAUSE;
        }
        tracing::error!(task, why, again_in = ?pause, "a task of the daemon has ended, and is started again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Until it ends; why it has.
async fn run_once<F>(task: &'static str, make: &mut impl FnMut() -> F) -> String
where
    F: Future<Output = String> + 'static,
{
    let made = match catch_unwind(AssertUnwindSafe(make)) {
        Ok(made) => made,
        Err(panic) => return reason(&*panic),
    };
    // A task of its own, so that its panic ends nothing else. It is aborted with the set.
    let mut alone = JoinSet::new();
    alone.spawn_local(async move {
        tokio::select! {
            why = made => why,
            why = fault::of(task) => why,
        }
    });
    match alone.join_next().await {
        Some(Ok(why)) => why,
        Some(Err(error)) => error.try_into_panic().map_or("it was aborted".to_owned(), |panic| reason(&*panic)),
        None => "it did not start".to_owned(),
    }
}

/// What a panic has said.
pub fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}

/// Failures that the tests of the program ask for, in builds for tests alone: a file of the task's name appears in a folder.
#[cfg(debug_assertions)]
mod fault {
    use std::time::Duration;

    pub(super) async fn of(task: &str) -> String {
        let Some(folder) = std::env::var_os("EDGE_TEST_FAULTS") else { return std::future::pending().await };
        let ending = std::path::Path::new(&folder).join(format!("{task}.end"));
        let panicking = std::path::Path::new(&folder).join(format!("{task}.fault"));
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if std::fs::remove_file(&ending).is_ok() {
                return "a test has ended it".to_owned();
            }
            if std::fs::remove_file(&panicking).is_ok() {
                std::panic::panic_any("a fault that a test has asked for");
            }
        }
    }
}

#[cfg(not(debug_assertions))]
mod fault {
    pub(super) async fn of(_: &str) -> String {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Runs `fails` under supervision, on a clock that does not wait, until it has been started `times` times.
    fn started_again(times: u64, fails: impl Fn(u64) -> String + Clone + 'static) -> Arc<Metrics> {
        let metrics = Arc::new(Metrics::new(1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let starts = Rc::new(Cell::new(0));
        let (counted, kept) = (starts.clone(), metrics.clone());
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let running = keep_running("prober", kept, move || {
                counted.set(counted.get() + 1);
                let (fails, start) = (fails.clone(), counted.get());
                async move { if start < times { fails(start) } else { std::future::pending().await } }
            });
            let enough = async {
                while starts.get() < times {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! { () = running => {}, () = enough => {} }
        });
        metrics
    }

    #[test]
    fn a_task_that_panics_or_returns_is_started_again_and_counted() {
        let metrics = started_again(3, |start| {
            assert!(start != 1, "the first one panics");
            "it returns".to_owned()
        });
        let text = metrics.render(&mut |_| {});
        assert!(text.contains("edge_task_restarts_total{task=\"prober\"} 2"), "{text}");
    }

    #[test]
    fn a_reason_is_what_the_panic_has_said() {
        assert_eq!(reason(&"words"), "panicked: words");
        assert_eq!(reason(&"a string".to_owned()), "panicked: a string");
        assert_eq!(reason(&5), "panicked: without a message");
    }
}
