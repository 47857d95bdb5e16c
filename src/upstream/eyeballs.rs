//! Two ways to one host, as "happy eyeballs" has it (RFC 8305): the second is tried when the first has failed, or takes its time.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

/// How long the first has before the second is tried beside it (RFC 8305, 5: "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);

/// The first that succeeds; `true`: it was the second. When both fail, both errors, in order.
pub(super) async fn either<T, E>(
    first: impl Future<Output = Result<T, E>>,
    second: impl Future<Output = Result<T, E>>,
) -> Result<(T, bool), (E, E)> {
    let (mut first, second) = (pin!(first), pin!(second));
    let one = |result: Result<T, E>, is_second: bool| result.map(|done| (done, is_second));
    let (done, rest) = match tokio::time::timeout(HEAD_START, &mut first).await {
        Ok(Ok(done)) => return Ok((done, false)),
        Ok(Err(error)) => return one(second.await, true).map_err(|other| (error, other)),
        Err(_) => match select(first, second).await {
            Either::Left((done, second)) => (one(done, false), Either::Left(second)),
            Either::Right((done, first)) => (one(done, true), Either::Right(first)),
        },
    };
    match (done, rest) {
        (Ok(done), _) => Ok(done),
        (Err(error), Either::Left(second)) => one(second.await, true).map_err(|other| (error, other)),
        (Err(error), Either::Right(first)) => one(first.await, false).map_err(|other| (other, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How each ends and after how many milliseconds; then what comes out, and after how many.
    #[tokio::test]
    async fn the_table() {
        type Way = (Result<&'static str, &'static str>, u64);
        type Outcome = Result<(&'static str, bool), (&'static str, &'static str)>;
        let rows: [(Way, Way, Outcome, u64); 8] = [
            ((Ok("a"), 10), (Ok("b"), 0), Ok(("a", false)), 10),
            ((Err("a"), 10), (Ok("b"), 5), Ok(("b", true)), 15),
            ((Err("a"), 10), (Err("b"), 5), Err(("a", "b")), 15),
            ((Ok("a"), 600), (Ok("b"), 10), Ok(("b", true)), 260),
            ((Ok("a"), 300), (Ok("b"), 400), Ok(("a", false)), 300),
            ((Ok("a"), 400), (Err("b"), 10), Ok(("a", false)), 400),
            ((Err("a"), 300), (Ok("b"), 200), Ok(("b", true)), 450),
            ((Err("a"), 400), (Err("b"), 10), Err(("a", "b")), 400),
        ];
        let row = |(first, second, expected, at): (Way, Way, Outcome, u64)| async move {
            let way = |(end, after): Way| async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                end
            };
            let begun = tokio::time::Instant::now();
            assert_eq!(either(way(first), way(second)).await, expected, "{first:?} {second:?}");
            assert!(begun.elapsed() >= Duration::from_millis(at), "{first:?} {second:?}: {:?}", begun.elapsed());
        };
        futures_util::future::join_all(rows.map(row)).await;
    }
}
