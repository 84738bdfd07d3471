//! What somebody may have meant who mistyped a name. Pure.

/// From this similarity on, names are near: as clap has it for options.
const NEAR: f64 = 0.7;
/// Names that are so much farther than the nearest are not meant.
const FARTHER: f64 = 0.1;
/// More suggestions than this help nobody.
const MOST: usize = 3;

/// The names that are near a word, the nearest first.
pub fn near<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<(f64, &str)> = names
        .into_iter()
        .filter(|name| *name != word)
        .map(|name| (similarity(word, name), name))
        .filter(|(similarity, _)| *similarity > NEAR)
        .collect();
    near.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    let nearest = near.first().map_or(0.0, |(similarity, _)| *similarity);
    near.retain(|(similarity, _)| *similarity >= nearest - FARTHER);
    near.dedup();
    near.truncate(MOST);
    near.into_iter().map(|(_, name)| name).collect()
}

/// A question for the names that are near, if there are any.
pub fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    question(&near(word, names))
}

/// A question for names, if there are any.
pub fn question(names: &[impl AsRef<str>]) -> Option<String> {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names[..] {
        [] => None,
        [one] => Some(format!("did you mean {one}?")),
        [ref others @ .., last] => Some(format!("did you mean {} or {last}?", others.join(", "))),
    }
}

fn similarity(a: &str, b: &str) -> f64 {
    // Upper and lower case are the least of mistakes.
    let [a, b] = [a.to_lowercase(), b.to_lowercase()];
    // By that measure, a letter is like any word that it stands in.
    let longer = a.chars().count().max(b.chars().count());
    if strsim::osa_distance(&a, &b) > longer / 2 {
        return 0.0;
    }
    strsim::jaro(&a, &b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_others_left() {
        let names = ["orders", "orders:eu", "payments", "Ordres"];
        assert_eq!(near("ordres", names), ["Ordres", "orders"]);
        assert_eq!(near("payment", names), ["payments"]);
        assert_eq!(near("xyz", names), [""; 0]);
        assert_eq!(near("orders", ["orders"]), [""; 0]);
        assert_eq!(near("missing", ["s"]), [""; 0]);
        assert_eq!(
            did_you_mean("payment", names).as_deref(),
            Some("did you mean payments?")
        );
        assert_eq!(
            did_you_mean("ab", ["abc", "abd"]).as_deref(),
            Some("did you mean abc or abd?")
        );
        assert_eq!(did_you_mean("xyz", names), None);
    }
}
