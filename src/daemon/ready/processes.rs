//! Which sockets the processes of a container hold, as `/proc` tells.

use std::collections::HashMap;
use std::fs;

/// Processes that are looked at: a container with more has them do its work, not listen.
const MOST: usize = 4096;

/// Returns the inodes of all sockets of a process and its descendants, and whether the main process
/// holds it: the first one, or what it runs where it is a reaper of ours (`init`).
pub(super) fn sockets(first: u32, init: bool) -> HashMap<u32, bool> {
    let mut found = HashMap::new();
    let mut open = vec![(first, 0)];
    let mut seen = 0;
    while let Some((pid, depth)) = open.pop() {
        seen += 1;
        if seen > MOST {
            break;
        }
        let main = depth == u32::from(init);
        for inode in sockets_of(pid) {
            *found.entry(inode).or_insert(false) |= main;
        }
        open.extend(children(pid).into_iter().map(|child| (child, depth + 1)));
    }
    found
}

fn sockets_of(pid: u32) -> Vec<u32> {
    let inode = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(inode).collect()
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads
        .map(of)
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn sockets_of_this_process_are_found_and_whether_it_is_the_main_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode: u32 = name.to_str().unwrap()["socket:[".len()..].trim_end_matches(']').parse().unwrap();
        assert_eq!(sockets(std::process::id(), false).get(&inode), Some(&true));
        assert_eq!(sockets(std::process::id(), true).get(&inode), Some(&false));
        assert_eq!(sockets(nix::unistd::getppid().as_raw() as u32, true).get(&inode), Some(&true));
    }
}
