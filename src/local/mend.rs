//! What a kill leaves half written at the end of an append-only file. A server cuts that off itself as it starts, but for
//! one case: a transaction that ends within one of its commands keeps its beginning, and swallows what is appended behind
//! it. That is cut off here, before the server looks. Nobody was ever told that it was done.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Where the lines of a server before Redis 7 are, and what it is called within the directory of the others.
const FILE: &str = "appendonly.aof";
const DIRECTORY: &str = "appendonlydir";

/// Whether there is an append-only file that a server before Redis 7 would not find.
pub fn is_in_parts(data: &Path) -> bool {
    manifest(data).exists()
}

fn manifest(data: &Path) -> PathBuf {
    data.join(DIRECTORY).join(format!("{FILE}.manifest"))
}

/// Cuts a transaction without an end off the append-only file in a directory. Says how many bytes went.
pub fn cut_unfinished_transaction(data: &Path) -> io::Result<u64> {
    let Some(path) = last_file(data)? else {
        return Ok(0);
    };
    let file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let size = file.metadata()?.len();
    let Some(end) = unfinished(&mut BufReader::new(&file), size)? else {
        return Ok(0);
    };
    file.set_len(end)?;
    file.sync_all()?;
    Ok(size - end)
}

/// The file that was being appended to.
fn last_file(data: &Path) -> io::Result<Option<PathBuf>> {
    let manifest = match std::fs::read_to_string(manifest(data)) {
        Ok(manifest) => manifest,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(data.join(FILE))),
        Err(error) => return Err(error),
    };
    // file appendonly.aof.1.incr.aof seq 1 type i, and from Redis 8 on: startoffset 0
    let name = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let ["file", name, "seq", _, "type", "i", ..] = words[..] else {
            return None;
        };
        Some(name.to_owned())
    };
    let last = manifest.lines().filter_map(name).next_back();
    Ok(last.map(|name| data.join(DIRECTORY).join(name)))
}

/// Where a transaction begins that has no end before that of the file. What cannot be read is for the server to tell.
fn unfinished(file: &mut impl BufRead, size: u64) -> io::Result<Option<u64>> {
    let mut at = 0;
    let mut begun = None;
    loop {
        match command(file, &mut at, size)? {
            Piece::Command(Word::Multi, start) => {
                begun.get_or_insert(start);
            }
            Piece::Command(Word::Exec, _) => begun = None,
            Piece::Command(Word::Other, _) => {}
            Piece::End => return Ok(begun),
            Piece::Unknown => return Ok(None),
        }
    }
}

/// What stands at a place of the file.
enum Piece {
    /// A whole command, and where it begins.
    Command(Word, u64),
    /// The end of the file, be it within a command.
    End,
    /// No command.
    Unknown,
}

#[derive(Clone, Copy)]
enum Word {
    Multi,
    Exec,
    Other,
}

fn command(file: &mut impl BufRead, at: &mut u64, size: u64) -> io::Result<Piece> {
    let start = *at;
    let count = match header(file, at, b'*')? {
        Header::Number(count) => count,
        Header::Comment => return Ok(Piece::Command(Word::Other, start)),
        Header::End => return Ok(Piece::End),
        Header::Unknown => return Ok(Piece::Unknown),
    };
    let mut word = Word::Other;
    for index in 0..count {
        let length = match header(file, at, b'$')? {
            Header::Number(length) => length,
            Header::End => return Ok(Piece::End),
            Header::Comment | Header::Unknown => return Ok(Piece::Unknown),
        };
        let whole = length.saturating_add(2);
        if whole > size.saturating_sub(*at) {
            return Ok(Piece::End);
        }
        let mut value = file.take(whole);
        if index == 0 && length <= 5 {
            let mut name = Vec::new();
            value.read_to_end(&mut name)?;
            word = match name.trim_ascii_end().to_ascii_uppercase().as_slice() {
                b"MULTI" => Word::Multi,
                b"EXEC" => Word::Exec,
                _ => Word::Other,
            };
        } else {
            io::copy(&mut value, &mut io::sink())?;
        }
        *at += whole;
    }
    Ok(Piece::Command(word, start))
}

enum Header {
    Number(u64),
    /// A line that servers put between commands, such as the time.
    Comment,
    End,
    Unknown,
}

/// A line such as `*3` or `$12`.
fn header(file: &mut impl BufRead, at: &mut u64, sign: u8) -> io::Result<Header> {
    /// No number needs more, and no line of a time.
    const LONGEST: u64 = 64;
    let mut line = Vec::new();
    file.take(LONGEST).read_until(b'\n', &mut line)?;
    *at += line.len() as u64;
    let is_whole = line.ends_with(b"\n");
    Ok(match line.first() {
        None => Header::End,
        Some(b'#') if sign == b'*' && is_whole => Header::Comment,
        Some(first) if *first == sign => {
            let number = std::str::from_utf8(&line[1..]).ok().map(str::trim_end);
            match number.and_then(|number| number.parse().ok()) {
                _ if !is_whole && (line.len() as u64) < LONGEST => Header::End,
                Some(number) if is_whole => Header::Number(number),
                _ => Header::Unknown,
            }
        }
        Some(_) => Header::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(words: &[&str]) -> String {
        let words: String = words
            .iter()
            .map(|word| format!("${}\r\n{word}\r\n", word.len()))
            .collect();
        format!("*{}\r\n{words}", words.matches('$').count())
    }

    fn cut(text: &str) -> Option<u64> {
        unfinished(&mut text.as_bytes(), text.len() as u64).unwrap()
    }

    #[test]
    fn a_transaction_without_an_end_is_found_wherever_it_breaks_off() {
        let whole = packed(&["MULTI"]) + &packed(&["SET", "a", "1"]) + &packed(&["EXEC"]);
        let before = packed(&["SELECT", "0"]) + "#TS:1700000000\r\n" + &whole;
        assert_eq!(cut(&before), None);
        let after = packed(&["multi"]) + &packed(&["XADD", "s", "*", "k", "v"]) + &packed(&["exec"]);
        let text = before.clone() + &after;
        assert_eq!(cut(&text), None);
        for end in before.len()..text.len() {
            let begun = end >= before.len() + packed(&["MULTI"]).len();
            assert_eq!(cut(&text[..end]), begun.then_some(before.len() as u64), "{end}");
        }
    }

    #[test]
    fn what_is_no_command_is_left_to_the_server() {
        for text in [
            "REDIS0011\u{0}",
            "*1\r\n$5\r\nMULTI\r\n%\r\n",
            "*1\r\n$5\r\nMULTI\r\n*x\r\n",
        ] {
            assert_eq!(cut(text), None, "{text}");
        }
    }

    #[test]
    fn the_file_that_was_appended_to_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(cut_unfinished_transaction(dir.path()).unwrap(), 0);
        let (kept, lost) = (packed(&["SET", "a", "1"]), packed(&["MULTI"]) + "*3\r\n$3");
        std::fs::write(dir.path().join(FILE), kept.clone() + &lost).unwrap();
        assert_eq!(cut_unfinished_transaction(dir.path()).unwrap(), lost.len() as u64);
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), kept);

        let parts = dir.path().join(DIRECTORY);
        std::fs::create_dir(&parts).unwrap();
        let lines =
            "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i startoffset 0\n";
        std::fs::write(parts.join("appendonly.aof.manifest"), lines).unwrap();
        assert!(is_in_parts(dir.path()));
        std::fs::write(parts.join("appendonly.aof.1.incr.aof"), kept + &lost).unwrap();
        assert_eq!(cut_unfinished_transaction(dir.path()).unwrap(), lost.len() as u64);
    }
}
