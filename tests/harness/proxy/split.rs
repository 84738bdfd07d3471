//! Replies held back until a chosen byte of the requests has been answered.

use super::link::Link;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long a side is silent when it has said all it has to say.
const SILENCE: Duration = Duration::from_millis(200);

/// What becomes of the connection when all has been answered.
pub(super) enum Then {
    GoesOn,
    /// The answers held back are lost.
    Ends,
}

/// Carries a connection so that the hook runs between two portions of what it sends.
pub(super) fn split(link: Link, mut left: usize, then: Then) {
    let (client, server) = (&link.client, &link.server);
    let mut held = Vec::new();
    // Requests that are answered one at a time go through as they come.
    let _ = client.set_read_timeout(Some(SILENCE));
    let _ = server.set_read_timeout(Some(SILENCE));
    let mut chunk = [0; 16 * 1024];
    while left > 0 {
        let most = left.min(chunk.len());
        match (&mut &*client).read(&mut chunk[..most]) {
            Ok(read @ 1..) => {
                let _ = (&mut &*server).write_all(&chunk[..read]);
                left -= read;
            }
            Ok(_) => return,
            Err(_) => {
                let answered = drain(server, &mut held);
                let _ = (&mut &*client).write_all(&std::mem::take(&mut held));
                if !answered {
                    continue;
                }
            }
        }
    }
    drain(server, &mut held);
    link.shared.run_hook();
    let mut rest = Vec::new();
    while let Ok(read @ 1..) = (&mut &*client).read(&mut chunk) {
        rest.extend_from_slice(&chunk[..read]);
    }
    let _ = (&mut &*server).write_all(&rest);
    drain(server, &mut held);
    if let Then::Ends = then {
        return link.cut();
    }
    let _ = (&mut &*client).write_all(&held);
    let _ = client.set_read_timeout(None);
    let _ = server.set_read_timeout(None);
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut &*server, &mut &*client);
    let _ = client.shutdown(Shutdown::Both);
}

/// Takes in what a server answers until it is silent; says whether that was anything.
fn drain(mut server: &UnixStream, held: &mut Vec<u8>) -> bool {
    let before = held.len();
    let mut chunk = [0; 16 * 1024];
    while let Ok(read @ 1..) = server.read(&mut chunk) {
        held.extend_from_slice(&chunk[..read]);
    }
    held.len() > before
}
