//! The server program, as it is found on PATH.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Fault;

/// What servers are called, the preferred first.
const NAMES: [&str; 2] = ["valkey-server", "redis-server"];
/// Since when append-only files are kept in parts, in a directory.
const IN_PARTS: u32 = 7;

pub fn find() -> Result<PathBuf, Fault> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // What stands in whichever directory is the current one is not what was installed.
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
    NAMES
        .iter()
        .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)))
        .find(|program| is_executable(program))
        .ok_or(Fault::NoProgram)
}

fn is_executable(program: &Path) -> bool {
    let facts = program.metadata();
    facts.is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// Whether it would not see an append-only file in parts, and begin with no data beside it.
pub fn is_too_old_for_parts(program: &Path) -> bool {
    let said = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let version = said.ok().and_then(|said| major(&String::from_utf8_lossy(&said.stdout)));
    // What cannot be read is that of no old server.
    version.is_some_and(|version| version < IN_PARTS)
}

/// From `Redis server v=7.0.15 sha=…`.
fn major(said: &str) -> Option<u32> {
    let (_, version) = said.split_once(" v=")?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("Redis server v=6.2.7 sha=00000000:0 malloc=libc"), Some(6));
        assert_eq!(major("Valkey server v=9.1.2 sha=00000000:0"), Some(9));
        assert_eq!(major("busybox"), None);
    }
}
