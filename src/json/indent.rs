//! JSON laid out over several lines.

use super::{Kind, Token, tokens};

const STEP: &str = "  ";

/// What is nested deeper is not indented further: a message must not fill the memory with spaces.
const DEEPEST: usize = 64;

/// Writes JSON with each element and each key on a line of its own. The tokens stay as they are; only the space between
/// them is ours.
pub fn indent(json: &str, out: &mut Vec<u8>) {
    let mut depth: usize = 0;
    let mut tokens = tokens(json).filter(|token| token.kind != Kind::Space).peekable();
    while let Some(Token { text, .. }) = tokens.next() {
        match text {
            "{" | "[" => {
                out.extend_from_slice(text.as_bytes());
                if let Some(end) = tokens.next_if(|next| matches!(next.text, "}" | "]")) {
                    out.extend_from_slice(end.text.as_bytes());
                    continue;
                }
                depth += 1;
                break_line(out, depth);
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                break_line(out, depth);
                out.extend_from_slice(text.as_bytes());
            }
            "," => {
                out.push(b',');
                break_line(out, depth);
            }
            ":" => out.extend_from_slice(b": "),
            _ => out.extend_from_slice(text.as_bytes()),
        }
    }
}

fn break_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    for _ in 0..depth.min(DEEPEST) {
        out.extend_from_slice(STEP.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indented(json: &str) -> String {
        let mut out = Vec::new();
        indent(json, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_space_between_tokens_changes() {
        assert_eq!(
            indented(r#"{ "a":[1.50, {"b" :"x: {,"}],"e":{ },"f":[],"n":1e400}"#),
            r#"{
  "a": [
    1.50,
    {
      "b": "x: {,"
    }
  ],
  "e": {},
  "f": [],
  "n": 1e400
}"#
        );
        assert_eq!(indented(" 7 "), "7");
        assert_eq!(indented(r#""\u00e9 ""#), r#""\u00e9 ""#);
    }

    #[test]
    fn depth_costs_no_more_than_it_says() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(indented(&deep).len() < 10_000 * (STEP.len() * DEEPEST + 2) * 2);
    }
}
