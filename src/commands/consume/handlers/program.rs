//! Whether a handler's program is there to be run, looked for as the system will (execvp). It is asked for before
//! anything is read: a command that was mistyped shall not wait for a message to be found out.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::io::Errno;

/// Looks for a program: by its path, or in the directories of `path`. Where systems look without one differs: there, only
/// running it tells.
pub fn find(program: &str, path: Option<OsString>) -> io::Result<()> {
    if program.is_empty() {
        return Err(Errno::NOENT.into());
    }
    if program.contains('/') {
        return check(Path::new(program));
    }
    let mut found = Errno::NOENT.into();
    let Some(path) = path else {
        return Ok(());
    };
    for dir in std::env::split_paths(&path) {
        match check(&dir.join(program)) {
            Ok(()) => return Ok(()),
            // One that may not be run says more than that others are not there.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found = error,
            Err(_) => {}
        }
    }
    Err(found)
}

fn check(program: &Path) -> io::Result<()> {
    access(program, Access::EXEC_OK)?;
    if program.is_dir() {
        return Err(Errno::ACCESS.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(program: &str, path: Option<&str>) -> Result<(), io::ErrorKind> {
        find(program, path.map(OsString::from)).map_err(|error| error.kind())
    }

    #[test]
    fn programs_are_looked_for_as_they_are_run() {
        assert_eq!(found("/bin/sh", Some("")), Ok(()));
        assert_eq!(found("sh", Some("/nowhere:/bin")), Ok(()));
        assert_eq!(found("sh", None), Ok(()));
        assert_eq!(found("sh", Some("/nowhere")), Err(io::ErrorKind::NotFound));
        assert_eq!(found("", Some("/bin")), Err(io::ErrorKind::NotFound));
        assert_eq!(found("./absent", Some("/bin")), Err(io::ErrorKind::NotFound));
        // A directory, and a file that nobody may run.
        assert_eq!(found("/bin", None), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(
            found("passwd", Some("/etc:/nowhere")),
            Err(io::ErrorKind::PermissionDenied)
        );
        assert_eq!(found("sh", Some("/etc:/bin")), Ok(()));
    }
}
