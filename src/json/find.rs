//! What stands at a path in a JSON text: found without a tree being built, and given as it stands.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
        let index: usize = self
            .step
            .parse()
            .ok()
            .filter(|_| is_index)
            .ok_or_else(|| S::Error::custom("no index"))?;
        for _ in 0..index {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = seq.next_element_seed(Descent(self.rest))?.flatten();
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
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
