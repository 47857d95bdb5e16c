//! The memory that the process may have: the limit of its control group, which the kernel keeps by killing what exceeds it.
//!
//! In a container the group's files are where the mounts say, and the path in `/proc/self/cgroup` may be one of the host's, which is
//! not there; then the mount itself is the group. Above a group the limits of its parents hold too.

use std::fs;
use std::path::{Path, PathBuf};

/// Version 1 writes "no limit" as a number close to 2^63.
const NO_LIMIT: u64 = 1 << 60;

/// In bytes; `None`: the machine's own memory is the limit.
pub fn memory_limit() -> Option<u64> {
    let group = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    limit_of(&group, &mounts, Path::new("/"))
}

/// The smallest limit of the group and its parents, in version 2 and version 1. `root`: where `/` is.
fn limit_of(group: &str, mounts: &str, root: &Path) -> Option<u64> {
    let mounts = mounts.lines().filter_map(Mount::parse);
    let limits = mounts.filter_map(|mount| {
        let group = group.lines().find_map(|line| mount.path_in(line))?;
        let top = root.join(mount.point.strip_prefix("/").ok()?);
        let own = group.strip_prefix(mount.root).map_or(top.clone(), |rest| top.join(rest));
        // A path of the host's is not there.
        let own = if own.is_dir() { own } else { top.clone() };
        own.ancestors().take_while(|folder| folder.starts_with(&top)).filter_map(|at| read(&at.join(mount.file))).min()
    });
    limits.min()
}

/// Where the files of a hierarchy with memory limits are.
struct Mount<'a> {
    /// The group that the mount shows.
    root: &'a str,
    point: PathBuf,
    /// The file with the limit; its name tells the version.
    file: &'static str,
}

impl<'a> Mount<'a> {
    /// A line of `/proc/self/mountinfo` (proc(5)): `36 35 98:0 ROOT POINT rw - TYPE SOURCE OPTIONS`.
    fn parse(line: &'a str) -> Option<Self> {
        let (place, system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?.into());
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        let file = match kind {
            "cgroup2" => "memory.max",
            "cgroup" if options.split(',').any(|option| option == "memory") => "memory.limit_in_bytes",
            _ => return None,
        };
        Some(Self { root, point, file })
    }

    /// The process's group in this hierarchy, if the line of `/proc/self/cgroup` is about it: `ID:CONTROLLERS:PATH`.
    fn path_in<'g>(&self, line: &'g str) -> Option<&'g Path> {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match self.file {
            "memory.max" => controllers.is_empty(),
            _ => controllers.split(',').any(|controller| controller == "memory"),
        };
        is_it.then(|| Path::new(path))
    }
}

fn read(file: &Path) -> Option<u64> {
    let limit = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (limit < NO_LIMIT).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    struct Files(tempfile::TempDir);

    impl Files {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(folder)
        }

        fn limit(&self, group: &str, mounts: &str) -> Option<u64> {
            limit_of(group, mounts, self.0.path())
        }
    }

    #[test]
    fn a_containers_own_group_is_the_root_of_what_it_sees() {
        let files = Files::new(&[("sys/fs/cgroup/memory.max", "67108864\n")]);
        assert_eq!(files.limit("0::/\n", V2), Some(64 << 20));
        let files = Files::new(&[("sys/fs/cgroup/memory.max", "max\n")]);
        assert_eq!(files.limit("0::/\n", V2), None);
    }

    #[test]
    fn a_service_has_the_smallest_limit_of_its_group_and_those_above() {
        let files = Files::new(&[
            ("sys/fs/cgroup/system.slice/memory.max", "1000"),
            ("sys/fs/cgroup/system.slice/edgectl.service/memory.max", "max"),
        ]);
        assert_eq!(files.limit("0::/system.slice/edgectl.service\n", V2), Some(1000));
    }

    #[test]
    fn version_1_has_its_own_file_and_a_number_for_no_limit() {
        let group = "5:cpu:/x\n4:memory:/docker/abc\n0::/\n";
        let name = "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes";
        let top = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
        assert_eq!(Files::new(&[top, (name, "67108864")]).limit(group, V1), Some(64 << 20));
        assert_eq!(Files::new(&[top, (name, "9223372036854771712")]).limit(group, V1), None);
    }

    #[test]
    fn a_path_of_the_host_leads_to_the_mount() {
        let mounted = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let files = Files::new(&[("sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864")]);
        assert_eq!(files.limit("4:memory:/docker/abc\n", mounted), Some(64 << 20));
        assert_eq!(files.limit("4:memory:/docker/abc\n", V1), Some(64 << 20));
    }

    #[test]
    fn nothing_known_is_no_limit() {
        assert_eq!(Files::new(&[]).limit("", ""), None);
        assert_eq!(Files::new(&[]).limit("0::/\n", V2), None);
        assert_eq!(Files::new(&[("sys/fs/cgroup/memory.max", "much")]).limit("nonsense\n0::/", V2), None);
    }
}
