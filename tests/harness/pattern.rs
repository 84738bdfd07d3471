//! Expected text with holes, for the parts that differ from run to run.
//!
//! `[..]` stands for anything within a line, `[ID]` for an entry ID, `[N]` for a number.

/// Whether the whole of `text` reads as `pattern`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, hole)) = first_hole(pattern) else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(&pattern[..start]) else {
        return false;
    };
    let after = &pattern[start + hole.len()..];
    let longest = rest.find('\n').unwrap_or(rest.len());
    (0..=longest)
        .filter(|&end| rest.is_char_boundary(end) && fits(hole, &rest[..end]))
        .any(|end| matches(after, &rest[end..]))
}

fn first_hole(pattern: &str) -> Option<(usize, &'static str)> {
    ["[..]", "[ID]", "[N]"]
        .into_iter()
        .filter_map(|hole| Some((pattern.find(hole)?, hole)))
        .min()
}

fn fits(hole: &str, text: &str) -> bool {
    match hole {
        "[ID]" => text
            .split_once('-')
            .is_some_and(|(ms, seq)| is_number(ms) && is_number(seq)),
        "[N]" => is_number(text),
        _ => true,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn holes_are_filled() {
    assert!(matches("sent [N] to [..] as [ID]\n", "sent 12 to a b as 17-0\n"));
    assert!(!matches("[N]\n", "x\n"));
    assert!(!matches("[..]", "one\ntwo"));
    assert!(!matches("[ID]", "17"));
    assert!(matches("", ""));
}
