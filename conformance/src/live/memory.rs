//! How much memory a process holds, as the kernel tells.

/// Resident memory of a process in KiB; `None` where the kernel does not tell.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Open descriptors of a process.
pub(crate) fn descriptors(pid: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Fails when a process holds more than `most` KiB above what it held `before`.
pub(crate) fn grew_at_most(pid: u32, before: Option<u64>, most: u64) -> Result<(), String> {
    match (before, resident(pid)) {
        (Some(before), Some(after)) if after > before + most => {
            Err(format!("its memory grew from {before} to {after} KiB, allowed were {most} more"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{grew_at_most, resident};

    #[test]
    fn growth_is_seen_where_the_kernel_tells() {
        let own = std::process::id();
        let before = resident(own);
        assert_eq!(before.is_some(), cfg!(target_os = "linux"));
        assert!(grew_at_most(own, before, 1 << 20).is_ok());
        assert_eq!(grew_at_most(own, Some(0), 0).is_err(), before.is_some());
    }
}
