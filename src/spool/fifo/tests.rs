use std::future::poll_fn;

use super::*;
use crate::resources::Descriptors;

struct Kept {
    fifo: Fifo,
    memory: Arc<BufferMemory>,
    disk: Arc<SpoolDisk>,
    folder: tempfile::TempDir,
}

const IN_MEMORY: usize = 64 * 1024;

fn kept(memory_limit: usize, spool_size: u64) -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(SpoolDisk::new(Descriptors::within(usize::MAX, 0)));
    let memory = Arc::default();
    let config = Arc::new(SpoolConfig { dir: folder.path().into(), size: spool_size });
    let fifo = Fifo::new(IN_MEMORY, &memory, memory_limit, &disk, &config);
    Kept { fifo, memory, disk, folder }
}

/// Numbered bytes: what is lost, doubled or out of order shows.
fn bytes(from: usize, length: usize) -> Bytes {
    (from..from + length).map(|at| (at * 31 + at / 251) as u8).collect::<Vec<_>>().into()
}

/// Fills it as long as it takes more, in parts of odd sizes; answers how much it has taken.
async fn fill(fifo: &mut Fifo, from: usize, at_most: usize) -> usize {
    let mut to = from;
    while to - from < at_most {
        let room = tokio::time::timeout(std::time::Duration::from_millis(300), poll_fn(|cx| fifo.poll_room(cx)));
        if room.await.is_err() {
            break;
        }
        let length = (1 + to % 50_000).min(from + at_most - to);
        fifo.push(bytes(to, length));
        to += length;
    }
    to - from
}

/// Takes everything; answers how much it was.
async fn empty(fifo: &mut Fifo, from: usize) -> usize {
    let mut to = from;
    while let Some(part) = poll_fn(|cx| fifo.poll_next(cx)).await.unwrap() {
        assert_eq!(part, bytes(to, part.len()), "from {to}");
        to += part.len();
    }
    to - from
}

#[tokio::test]
async fn what_fits_into_memory_makes_no_file() {
    let mut kept = kept(1 << 20, 1 << 30);
    assert_eq!(fill(&mut kept.fifo, 0, IN_MEMORY - 1).await, IN_MEMORY - 1);
    assert_eq!((kept.disk.used(), kept.disk.files()), (0, 0));
    assert!(kept.memory.used() >= IN_MEMORY - 1);
    assert_eq!(empty(&mut kept.fifo, 0).await, IN_MEMORY - 1);
    assert!(kept.fifo.is_empty());
    assert_eq!(kept.memory.used(), 0);
}

#[tokio::test]
async fn beyond_it_goes_through_the_file_in_order_and_memory_stays_bounded() {
    let mut kept = kept(64 << 20, 1 << 30);
    let size = 20 << 20;
    assert_eq!(fill(&mut kept.fifo, 0, size).await, size);
    assert!(kept.memory.used() < IN_MEMORY + 3 * PIECE, "{}", kept.memory.used());
    assert!(kept.disk.used() > (size - IN_MEMORY - 2 * PIECE) as u64, "{}", kept.disk.used());
    assert_eq!(empty(&mut kept.fifo, 0).await, size);
    assert_eq!((kept.memory.used(), kept.disk.used(), kept.disk.files()), (0, 0, 1));
}

#[tokio::test]
async fn filled_and_emptied_by_turns_nothing_is_lost() {
    let mut kept = kept(64 << 20, 1 << 30);
    let (mut filled, mut emptied) = (0, 0);
    for round in 0..40 {
        filled += fill(&mut kept.fifo, filled, 100_000 * (1 + round % 7)).await;
        for _ in 0..(round % 11) {
            let Some(part) = poll_fn(|cx| kept.fifo.poll_next(cx)).await.unwrap() else { break };
            assert_eq!(part, bytes(emptied, part.len()));
            emptied += part.len();
        }
    }
    emptied += empty(&mut kept.fifo, emptied).await;
    assert_eq!(emptied, filled);
    assert!(kept.disk.files() > 0);
}

#[tokio::test]
async fn a_full_or_missing_disk_takes_no_more_than_memory_does_and_loses_nothing() {
    for (size, folder_is_gone) in [(0, false), (1 << 20, false), (1 << 30, true)] {
        let mut kept = kept(64 << 20, size);
        if folder_is_gone {
            std::fs::remove_dir(kept.folder.path()).unwrap();
        }
        let taken = fill(&mut kept.fifo, 0, 8 << 20).await;
        let most = IN_MEMORY + 3 * PIECE + size as usize / 8;
        assert!((IN_MEMORY..most).contains(&taken) || folder_is_gone && taken < most, "{taken} of {size}");
        let more = {
            let part = poll_fn(|cx| kept.fifo.poll_next(cx)).await.unwrap().unwrap();
            assert_eq!(part, bytes(0, part.len()));
            part.len()
        };
        assert_eq!(more + empty(&mut kept.fifo, more).await, taken);
        assert_eq!((kept.disk.used(), kept.memory.used()), (0, 0));
        let again = fill(&mut kept.fifo, taken, 10_000).await;
        assert_eq!(empty(&mut kept.fifo, taken).await, again);
    }
}

#[tokio::test]
async fn a_small_budget_of_memory_is_kept_and_one_that_others_use_up_takes_nothing() {
    let mut kept = kept(512 * 1024, 1 << 30);
    assert_eq!(fill(&mut kept.fifo, 0, 4 << 20).await, 4 << 20);
    assert!(kept.memory.used() <= 512 * 1024, "{}", kept.memory.used());
    assert_eq!(empty(&mut kept.fifo, 0).await, 4 << 20);
    let mut none = Kept { fifo: Fifo::new(IN_MEMORY, &kept.memory, 0, &kept.disk, &none_config()), ..kept };
    assert_eq!(fill(&mut none.fifo, 0, 4 << 20).await, 0);
}

#[tokio::test]
async fn bodies_that_nobody_reads_go_into_files_however_many_have_taken_the_memory() {
    let first = kept(1 << 20, 1 << 30);
    let config = Arc::new(SpoolConfig { dir: first.folder.path().into(), size: 1 << 30 });
    let another = || Fifo::new(1 << 20, &first.memory, 1 << 20, &first.disk, &config);
    let mut kept: Vec<Fifo> = (0..20).map(|_| another()).collect();
    // By turns, so that each takes some memory, and never gives it back to a reader.
    for round in 0..3 {
        for fifo in &mut kept {
            assert_eq!(fill(fifo, round << 19, 1 << 19).await, 1 << 19, "round {round}");
            assert!(first.memory.used() <= 1 << 20, "{}", first.memory.used());
        }
    }
    for fifo in &mut kept {
        assert_eq!(empty(fifo, 0).await, 3 << 19);
    }
    drop(kept);
    assert_eq!((first.memory.used(), first.disk.used()), (0, 0));
}

#[tokio::test]
async fn who_waits_for_the_memory_of_another_s_piece_is_woken() {
    let first = kept(2 * LARGEST_PART, 1 << 30);
    let config = Arc::new(SpoolConfig { dir: first.folder.path().into(), size: 1 << 30 });
    let other = MemoryShare::new(first.memory.clone(), 2 * LARGEST_PART);
    other.settle(2 * LARGEST_PART);
    let mut fifo = Fifo::new(IN_MEMORY, &first.memory, 2 * LARGEST_PART, &first.disk, &config);
    let waits = poll_fn(|cx| fifo.poll_room(cx));
    let (room, ()) = tokio::join!(tokio::time::timeout(std::time::Duration::from_secs(5), waits), async {
        tokio::task::yield_now().await;
        drop(other);
    });
    assert!(room.is_ok());
}

fn none_config() -> Arc<SpoolConfig> {
    Arc::new(SpoolConfig { dir: "/".into(), size: 0 })
}

#[tokio::test]
async fn a_whole_is_read_again_and_again() {
    let mut kept = kept(64 << 20, 1 << 30);
    let size = 3 << 20;
    fill(&mut kept.fifo, 0, size).await;
    let whole = std::rc::Rc::new(poll_fn(|cx| kept.fifo.poll_whole(cx)).await);
    assert_eq!(whole.length(), size as u64);
    assert!(kept.memory.used() > 0 && kept.disk.used() > 0);
    drop(kept.fifo);
    for _ in 0..3 {
        let mut reader = WholeBytes::reader(&whole);
        let mut at = 0;
        while let Some(part) = poll_fn(|cx| reader.poll_next(cx)).await.unwrap() {
            assert_eq!(part, bytes(at, part.len()));
            at += part.len();
            assert_eq!(reader.left(), (size - at) as u64);
        }
        assert_eq!(at, size);
    }
    drop(whole);
    assert_eq!((kept.memory.used(), kept.disk.used()), (0, 0));
}
