//! What stands at a path in a JSON text: found without a tree being built, and given as it stands.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The JSON at a path of keys and indexes; `None` if there is nothing.
pub fn find<'a>(json: &'a str, path: &[String]) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found = Descent(path).deserialize(&mut deserializer).ok()??;
    Some(found.get())
}

/// What a JSON string says; `None` if it is no string, or says what no text can (half of a surrogate pair).
pub fn text(json: &str) -> Option<Cow<'_, str>> {
    /// Borrows where the string has no escapes, as a bare `Cow` does not.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0)
}

/// Goes down a path, past all else.
struct Descent<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Descent<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => <&RawValue>::deserialize(deserializer).map(Some),
            [step, rest @ ..] => deserializer.deserialize_any(Step { step, rest }),
        }
    }
}

/// One step, into an object or an array.
struct Step<'p> {
    step: &'p str,
    rest: &'p [String],
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    /// Where a key repeats, the last counts, as for most who read JSON.
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(is_ours) = map.next_key_seed(Is(self.step))? {
            if is_ours {
                found = map.next_value_seed(Descent(self.rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let is_index = self.step == "0" || !self.step.starts_with(['0', '+']);
        let mut found = None;
        if let Some(index) = self.step.parse::<usize>().ok().filter(|_| is_index) {
            for _ in 0..index {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            found = seq.next_element_seed(Descent(self.rest))?.flatten();
        }
        // To its end: where its key repeats, what follows counts.
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    // Nothing is in any other value. That is no failure: where its key repeats, the last counts.

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a key of an object is this one.
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(json: &'a str, path: &str) -> Option<&'a str> {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        find(json, &path)
    }

    #[test]
    fn the_last_of_repeated_keys_counts_at_every_level() {
        for earlier in [
            "5",
            "-5",
            "0.5",
            "true",
            "null",
            "\"s\"",
            "[7]",
            "{}",
            "{\"x\":0}",
            "{\"x\":{\"y\":0}}",
        ] {
            let json = format!("{{\"d\":{earlier},\"d\":{{\"x\":1}},\"e\":2}}");
            assert_eq!(found(&json, "d.x"), Some("1"), "{json}");
            let deeper = format!("{{\"a\":[{json},3]}}");
            assert_eq!(found(&deeper, "a.0.d.x"), Some("1"), "{deeper}");
            // What only an earlier one has is not there.
            let json = format!("{{\"d\":{{\"x\":1}},\"d\":{earlier}}}");
            let expected = if earlier.starts_with("{\"x\"") {
                found(earlier, "x")
            } else {
                None
            };
            assert_eq!(found(&json, "d.x"), expected, "{json}");
        }
        assert_eq!(found(r#"{"d":[1],"d":[2,3]}"#, "d.0"), Some("2"));
        assert_eq!(found(r#"{"d":[1,2],"d":[3]}"#, "d.1"), None);
        assert_eq!(
            found(r#"{"d":{"x":1,"x":{"y":2}},"d":{"x":3,"x":{"y":4}}}"#, "d.x.y"),
            Some("4")
        );
    }

    #[test]
    fn nothing_is_found_in_what_is_no_json() {
        for json in ["", "{", r#"{"d":{"x":1}"#, r#"{"d":5,"d":{"x":1},}"#] {
            assert_eq!(found(json, "d.x"), None, "{json}");
        }
    }
}
