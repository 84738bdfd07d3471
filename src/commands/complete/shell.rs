//! The shells: how each hands over what is typed, and how it wants the answer.
//!
//! An answer is a line that says what it is, and then the words, a line each, with what they mean.

use super::bash::{self, unquoted};
use super::candidates::{Answer, Candidate};
use crate::ui::printable;

/// Whose script asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Elvish,
    Fish,
    Zsh,
}

/// What is typed, read as the shell would.
pub struct Typed {
    pub words: Vec<String>,
    /// The last word names a file that the shell opens.
    pub is_file: bool,
    bash: Option<(bash::Typed, String)>,
}

impl Shell {
    pub fn read(self, words: &[String]) -> Typed {
        match (self, words) {
            (Self::Bash, [line, piece, ..]) => {
                let typed = bash::Typed::read(line);
                Typed {
                    words: typed.words.clone(),
                    is_file: typed.is_file,
                    bash: Some((typed, piece.clone())),
                }
            }
            (Self::Fish, [before @ .., last]) => {
                // The last word comes as it is typed.
                let mut words = before.to_vec();
                words.push(unquoted(last));
                Typed::plain(words)
            }
            (_, words) => Typed::plain(words.to_vec()),
        }
    }
}

impl Shell {
    /// A word that ends where what it means begins.
    fn escape(self, word: &str) -> String {
        match self {
            Self::Zsh => word.replace('\\', "\\\\").replace(':', "\\:"),
            _ => word.to_owned(),
        }
    }
}

impl Typed {
    fn plain(words: Vec<String>) -> Self {
        Self {
            words,
            is_file: false,
            bash: None,
        }
    }

    /// The answer for the shell.
    pub fn write(&self, shell: Shell, answer: &Answer) -> String {
        match answer {
            Answer::Files { prefix } => format!("files {prefix}\n"),
            Answer::Directories { prefix } => format!("directories {prefix}\n"),
            Answer::OtherProgram { words } => format!("command {words}\n"),
            Answer::Words(words) => {
                let mut text = "words\n".to_owned();
                for candidate in words.iter().filter(|candidate| can_be_typed(&candidate.word)) {
                    text += &self.line(shell, candidate);
                    text.push('\n');
                }
                text
            }
        }
    }

    fn line(&self, shell: Shell, Candidate { word, help }: &Candidate) -> String {
        match (shell, &self.bash) {
            (Shell::Bash, Some((typed, piece))) => typed.write(word, piece),
            (Shell::Bash | Shell::Elvish, _) => word.clone(),
            (Shell::Fish | Shell::Zsh, _) if help.is_empty() => shell.escape(word),
            (Shell::Fish, _) => format!("{}\t{help}", shell.escape(word)),
            (Shell::Zsh, _) => format!("{}:{help}", shell.escape(word)),
        }
    }
}

/// Whether a word can be typed at a prompt, and shown there: a name may be of any bytes, even of those that command the
/// terminal.
fn can_be_typed(word: &str) -> bool {
    printable(word) == word && !word.contains(['\n', char::REPLACEMENT_CHARACTER])
}
