//! Memory, as Linux tells of it; elsewhere nothing is known.

use std::path::Path;

/// Bytes that this process may take: all that the machine has, or fewer where a container has a limit.
pub(super) fn limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = [bytes("/proc/meminfo", "MemTotal:"), group_limit(&groups, Path::new("/sys/fs/cgroup"))];
    limits.into_iter().flatten().min()
}

/// The least limit of the control groups in `/proc/self/cgroup` and of those around them (Linux, cgroups(7): a line is
/// `hierarchy:controllers:path`; version 2 has no controllers there).
fn group_limit(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let around = Path::new(path.trim_start_matches('/')).ancestors();
        let limit = |group| std::fs::read_to_string(root.join(group).join(file)).ok()?.trim().parse().ok();
        around.filter_map(limit).min()
    });
    limits.min()
}

/// The most bytes that this process has had resident.
#[must_use]
pub fn peak() -> Option<u64> {
    bytes("/proc/self/status", "VmHWM:")
}

/// The number that a file gives in kilobytes behind a name.
fn bytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix(name))?;
    number.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_less_than_it_may() {
        if cfg!(target_os = "linux") {
            let (peak, limit) = (peak().expect("a number"), limit().expect("a number"));
            assert!(0 < peak && peak < limit, "{peak} of {limit}");
        }
    }

    #[test]
    fn the_least_limit_around_a_process_is_its_own() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("it is made");
            std::fs::write(path, text).expect("it is written");
        };
        let limit = |groups| group_limit(groups, root.path());
        assert_eq!(limit("0::/a/b\n"), None);
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "4096\n");
        write("memory.max", "8192\n");
        assert_eq!(limit("0::/a/b\n"), Some(4096));
        assert_eq!(limit("0::/\n"), Some(8192));
        write("memory/memory.limit_in_bytes", "1024\n");
        assert_eq!(limit("9:cpu:/\n4:memory:/not/mounted\n0::/\n"), Some(1024));
        assert_eq!(limit("nonsense"), None);
    }
}
