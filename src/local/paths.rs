//! Where the local server keeps its things: data in the user's data directory, its socket in the runtime directory.

use std::ffi::OsString;
use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Fault;

/// What the directories are called within those of the user.
const NAME: &str = "redis-streamer";
const SOCKET: &str = "server.sock";
/// The longest path of a Unix socket, less the zero byte at its end.
const LONGEST_SOCKET: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// What others may not do in a directory of ours: anything.
const OF_OTHERS: u32 = 0o077;

/// `$XDG_DATA_HOME/redis-streamer`, else `~/.local/share/redis-streamer`.
pub fn data() -> Result<PathBuf, Fault> {
    let data = absolute("XDG_DATA_HOME").or_else(|| {
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        home.map(|home| home.join(".local/share"))
    });
    data.map(|data| data.join(NAME)).ok_or(Fault::NoHome)
}

/// Where the socket of a server is to be that is started now: in `$XDG_RUNTIME_DIR/redis-streamer`, else in a directory
/// of the user's own among the temporary ones.
pub fn socket() -> Result<PathBuf, Fault> {
    // A shell that was made by `su` may name the directory of somebody else, or none that exists.
    let runtime = absolute("XDG_RUNTIME_DIR").filter(|dir| {
        let of_this_user = |facts: Metadata| facts.is_dir() && facts.uid() == user();
        dir.metadata().is_ok_and(of_this_user)
    });
    let temporary = std::env::temp_dir();
    choose(runtime.as_deref(), &[&temporary, Path::new("/tmp")], user())
}

/// The first that a socket's path has room in.
fn choose(runtime: Option<&Path>, temporary: &[&Path], user: u32) -> Result<PathBuf, Fault> {
    let own = format!("{NAME}-{user}");
    let temporary = temporary
        .iter()
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(&own));
    let mut sockets = runtime
        .map(|dir| dir.join(NAME))
        .into_iter()
        .chain(temporary)
        .map(|dir| dir.join(SOCKET));
    sockets
        .find(|socket| socket.as_os_str().as_bytes().len() <= LONGEST_SOCKET)
        .ok_or(Fault::NoRoomForSocket {
            longest: LONGEST_SOCKET,
        })
}

/// Makes a directory that nobody else may look into, with those above it; refuses one that others can.
pub fn make_private(dir: &Path) -> Result<(), Fault> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    match made {
        // What is there and no directory is told below.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Fault::file("make the directory", dir)(error));
        }
        _ => {}
    }
    must_be_private(dir)
}

/// Refuses a directory in which somebody else could have put what is taken for ours.
pub fn must_be_private(dir: &Path) -> Result<(), Fault> {
    let facts = dir.symlink_metadata().map_err(Fault::file("look at", dir))?;
    let why = if !facts.is_dir() {
        "it is no directory"
    } else if facts.uid() != user() {
        "it belongs to somebody else"
    } else if facts.mode() & OF_OTHERS != 0 {
        "others can use it, too"
    } else {
        return Ok(());
    };
    Err(Fault::NotPrivate {
        dir: dir.to_owned(),
        why,
    })
}

pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A directory that a variable names; one that is not absolute is to be ignored.
fn absolute(variable: &str) -> Option<PathBuf> {
    let value: OsString = std::env::var_os(variable)?;
    Some(PathBuf::from(value)).filter(|dir| dir.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_that_has_room_is_taken() {
        let runtime = Path::new("/run/user/7");
        let deep = PathBuf::from(format!("/{}", "d".repeat(90)));
        let [tmp, deep] = [Path::new("/tmp"), deep.as_path()];
        for (runtime, temporary, socket) in [
            (Some(runtime), vec![tmp], "/run/user/7/redis-streamer/server.sock"),
            (
                None,
                vec![Path::new("/var/x"), tmp],
                "/var/x/redis-streamer-7/server.sock",
            ),
            (Some(deep), vec![deep, tmp], "/tmp/redis-streamer-7/server.sock"),
            (None, vec![Path::new("here"), tmp], "/tmp/redis-streamer-7/server.sock"),
        ] {
            assert_eq!(choose(runtime, &temporary, 7).unwrap(), Path::new(socket));
        }
        assert!(matches!(
            choose(Some(deep), &[deep], 7),
            Err(Fault::NoRoomForSocket { .. })
        ));
    }

    #[test]
    fn a_directory_of_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("a/b");
        make_private(&new).unwrap();
        assert_eq!(new.metadata().unwrap().mode() & 0o777, 0o700);
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&new, &link).unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for refused in [&open, &link, &file] {
            assert!(
                matches!(make_private(refused), Err(Fault::NotPrivate { .. })),
                "{refused:?}"
            );
        }
    }
}
