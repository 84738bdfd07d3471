//! Words as bash sees them. It cuts a word at `:` and `=` where the user did not quote it, asks for the last piece
//! alone, and takes what it is given as it stands: so the line is read here, and answers are cut and quoted here. Pure.

/// A line up to the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// Its words without their quotes; the last, which may be empty, is being typed.
    pub words: Vec<String>,
    pub quote: Quote,
    /// The last word names a file that the shell opens.
    pub is_file: bool,
}

/// What the last word is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quote {
    #[default]
    None,
    Single,
    Double,
}

impl Typed {
    pub fn read(line: &str) -> Self {
        let mut typed = Self::default();
        let mut word = String::new();
        let mut in_word = false;
        let mut redirects = false;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match (typed.quote, c) {
                (Quote::None, ' ' | '\t' | '\n') => {
                    if std::mem::take(&mut in_word) && !std::mem::take(&mut redirects) {
                        typed.words.push(word.clone());
                    }
                    word.clear();
                    continue;
                }
                (Quote::None, '<' | '>') => {
                    // What stands before it may be the number of a descriptor.
                    if in_word && !redirects && !word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'&') {
                        typed.words.push(word.clone());
                    }
                    word.clear();
                    (in_word, redirects) = (false, true);
                    while chars.next_if(|c| matches!(c, '<' | '>' | '&' | '|')).is_some() {}
                    continue;
                }
                (Quote::None, '\'') => typed.quote = Quote::Single,
                (Quote::None, '"') => typed.quote = Quote::Double,
                (Quote::Single, '\'') | (Quote::Double, '"') => typed.quote = Quote::None,
                (Quote::None, '\\') => word.extend(chars.next()),
                (Quote::Double, '\\') => match chars.next_if(|c| "\\\"$`".contains(*c)) {
                    Some(escaped) => word.push(escaped),
                    None => word.push('\\'),
                },
                (_, c) => word.push(c),
            }
            in_word = true;
        }
        typed.words.push(word);
        typed.is_file = redirects;
        typed
    }

    /// A word as it has to be typed in place of `piece`, the end of the last word.
    pub fn write(&self, word: &str, piece: &str) -> String {
        let typed = self.words.last().map_or("", String::as_str);
        let piece = unquoted(piece);
        // What stands before the piece stays.
        let kept = typed.strip_suffix(piece.as_str()).unwrap_or_default();
        self.quote.write(word.strip_prefix(kept).unwrap_or(word))
    }
}

impl Quote {
    fn write(self, text: &str) -> String {
        let special = |c: char| match self {
            Self::None => !(c.is_alphanumeric() || "_-./:=@%+,".contains(c)),
            Self::Single => c == '\'',
            Self::Double => "\\\"$`".contains(c),
        };
        let mut written = String::with_capacity(text.len());
        for c in text.chars() {
            match (special(c), self) {
                (false, _) => written.push(c),
                (true, Self::Single) => written.push_str("'\\''"),
                (true, _) => written.extend(['\\', c]),
            }
        }
        written
    }
}

/// A word without its quotes, the last of which may be missing.
pub fn unquoted(word: &str) -> String {
    Typed::read(word).words.pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        Typed::read(line).words
    }

    #[test]
    fn a_line_is_read_up_to_the_cursor() {
        assert_eq!(words("rs  pending ord"), ["rs", "pending", "ord"]);
        assert_eq!(words("rs pending "), ["rs", "pending", ""]);
        assert_eq!(
            words(r#"rs 'a b'c\ d "e \" \x" 'or"#),
            ["rs", "a bc d", "e \" \\x", "or"]
        );
        assert_eq!(words("rs '' orders:{0..1}"), ["rs", "", "orders:{0..1}"]);
        let open = |line| Typed::read(line).quote;
        assert_eq!(
            [open("rs 'a"), open("rs \"a"), open("rs 'a'")],
            [Quote::Single, Quote::Double, Quote::None]
        );
    }

    #[test]
    fn what_the_shell_opens_is_no_word() {
        assert_eq!(words("rs a < in 2> err >> out b"), ["rs", "a", "b"]);
        assert_eq!(words("rs a>out b"), ["rs", "a", "b"]);
        for (line, is_file) in [
            ("rs a > o", true),
            ("rs a >", true),
            ("rs a > o ", false),
            ("rs '>' o", false),
        ] {
            assert_eq!(Typed::read(line).is_file, is_file, "{line}");
        }
    }

    #[test]
    fn a_word_is_cut_and_quoted_as_bash_wants_it() {
        let write = |line: &str, piece, word| Typed::read(line).write(word, piece);
        assert_eq!(write("rs orders:b", "b", "orders:billing"), "billing");
        assert_eq!(write("rs orders:b", "orders:b", "orders:billing"), "orders:billing");
        assert_eq!(write("rs --ack=", "", "--ack=read"), "read");
        assert_eq!(write("rs 'orders:b", "orders:b", "orders:it's"), "orders:it'\\''s");
        assert_eq!(write("rs \"a:", "a:", "a:$b"), "a:\\$b");
        assert_eq!(write("rs my\\ st:b", "b", "my st:b c"), "b\\ c");
        assert_eq!(write("rs ", "", "a{0..1}"), "a\\{0..1\\}");
    }
}
