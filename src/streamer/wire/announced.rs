//! Commands announced by ASKING: a node that a slot is on its way to serves its keys only to whoever was sent there. The
//! announcement holds for one command, or for the transaction that it begins.

use std::collections::VecDeque;

use super::resp::{Malformed, Scanner};

const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";

/// What was announced over a connection.
#[derive(Debug, Default)]
pub struct Announced {
    /// Whether the commands belong to a transaction that is under way.
    in_transaction: bool,
    /// Of each reply that is still to come, whether that to an announcement stands before it.
    replies: VecDeque<bool>,
}

impl Announced {
    /// These commands, with their announcements.
    pub fn announce(&mut self, packed: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::with_capacity(packed.len() * 2);
        let mut rest = packed;
        while !rest.is_empty() {
            let length = Scanner::new(usize::MAX).advance(rest)?;
            let (command, behind) = rest.split_at(length.ok_or(Malformed("a command cut short"))?);
            let is_announced = !self.in_transaction;
            if is_announced {
                out.extend_from_slice(ASKING);
            }
            self.replies.push_back(is_announced);
            out.extend_from_slice(command);
            self.in_transaction = match command {
                b"*1\r\n$5\r\nMULTI\r\n" => true,
                b"*1\r\n$4\r\nEXEC\r\n" => false,
                _ => self.in_transaction,
            };
            rest = behind;
        }
        Ok(out)
    }

    /// A reply is about to be taken: whether that to an announcement comes first.
    pub fn is_next(&mut self) -> bool {
        self.replies.pop_front().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::resp::write_command;
    use super::*;

    fn packed(commands: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for command in commands {
            let parts: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            write_command(&mut out, &parts);
        }
        out
    }

    #[test]
    fn a_transaction_is_announced_once() {
        let mut announced = Announced::default();
        let mut announce = |commands: &[&str]| announced.announce(&packed(commands)).unwrap();
        assert_eq!(
            announce(&["XLEN s", "MULTI"]),
            packed(&["ASKING", "XLEN s", "ASKING", "MULTI"])
        );
        assert_eq!(announce(&["XADD s * a b", "EXEC"]), packed(&["XADD s * a b", "EXEC"]));
        assert_eq!(announce(&["GET k"]), packed(&["ASKING", "GET k"]));
        let replies: Vec<bool> = (0..5).map(|_| announced.is_next()).collect();
        assert_eq!(replies, [true, true, false, false, true]);
        assert!(!announced.is_next());
    }
}
