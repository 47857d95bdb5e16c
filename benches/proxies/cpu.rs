//! What a proxy costs the machine: CPU time and memory of a process and all its descendants, from `/proc`, and pinning.
//!
//! Takes no samples: both are read before and after, and the difference is the cost.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which process runs on which core.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    pub load: Core,
    pub proxy: Core,
    /// None: the load's own.
    pub origin: Option<usize>,
}

/// A core that programs are pinned to.
#[derive(Debug, Clone, Copy)]
pub struct Core(usize);

impl Cores {
    /// Pins this process, and what it will start, to the first core that it may use; leaves the second to the proxies, and the third,
    /// if there is one, to the origin.
    pub fn split() -> Result<Cores> {
        let allowed = sched_getaffinity(None).context("cannot read the CPU affinity")?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).take(3).collect();
        let [load, proxy, ref origin @ ..] = cores[..] else {
            bail!("the bench needs two cores: one for the proxy, one for the load and the origin");
        };
        pin(load)?;
        Ok(Cores { load: Core(load), proxy: Core(proxy), origin: origin.first().copied() })
    }
}

impl Core {
    /// The program, and its arguments, that starts another on this core.
    pub fn launcher(self) -> [String; 3] {
        ["taskset".to_owned(), "-c".to_owned(), self.0.to_string()]
    }

    /// How long the core was in use so far, by any process; time stolen by the hypervisor counts too. Precise to 10 ms.
    pub fn busy(self) -> Result<Duration> {
        let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        let name = format!("cpu{} ", self.0);
        let fields = stat.lines().find_map(|line| line.strip_prefix(&name)).context("/proc/stat lacks a core")?;
        let ticks: Vec<u64> = fields.split(' ').map_while(|field| field.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal
        Ok(ticks_to_time([0, 1, 2, 5, 6, 7].iter().filter_map(|&at| ticks.get(at)).sum()))
    }
}

/// Keeps this thread, and those that it will start, to a core.
pub fn pin(core: usize) -> Result<()> {
    let mut own = CpuSet::new();
    own.set(core);
    sched_setaffinity(None, &own).with_context(|| format!("cannot run on core {core}"))
}

/// A process and all its descendants.
#[derive(Debug, Clone, Copy)]
pub struct ProcessTree {
    pub root: u32,
}

impl ProcessTree {
    /// User and system time spent so far, of living processes.
    pub fn cpu(&self) -> Result<Duration> {
        let members = self.members()?;
        ensure!(!members.is_empty(), "process {} is gone", self.root);
        Ok(members.into_iter().map(process_cpu).sum())
    }

    /// Proportional set size: a page that the master shares with a worker counts once. Kernel socket buffers are not in it.
    pub fn pss_kib(&self) -> Result<u64> {
        self.members()?.into_iter().map(process_pss_kib).sum()
    }

    /// The process ids, root first.
    pub fn members(&self) -> Result<Vec<u32>> {
        let parents = parents().context("cannot read /proc")?;
        let mut members: Vec<u32> = parents.iter().filter(|(pid, _)| *pid == self.root).map(|(pid, _)| *pid).collect();
        let mut next = 0;
        while let Some(&parent) = members.get(next) {
            members.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        Ok(members)
    }
}

/// Every process with its parent. Those that end while we look are left out.
fn parents() -> Result<Vec<(u32, u32)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = stat_fields(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            all.push((pid, parent));
        }
    }
    Ok(all)
}

/// The threads' `schedstat` is exact to the nanosecond but forgets threads that ended; `stat` forgets nothing and rounds
/// down to ticks. So the larger is right.
fn process_cpu(pid: u32) -> Duration {
    let threads: Duration = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse().ok())
        .map(Duration::from_nanos)
        .sum();
    threads.max(process_ticks(pid).unwrap_or_default())
}

/// utime + stime.
fn process_ticks(pid: u32) -> Option<Duration> {
    let fields = stat_fields(pid)?;
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks_to_time(ticks))
}

/// USER_HZ is 100 on every Linux that Rust runs on.
fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 10)
}

/// The fields of `stat` from the state on: the name before them may hold spaces.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn process_pss_kib(pid: u32) -> Result<u64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse().ok())
        .with_context(|| format!("no Pss in {file}"))
}
