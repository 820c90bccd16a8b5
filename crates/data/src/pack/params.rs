//! The params of `pack` that YAML writes in two ways.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A size in pixels; one number for a square, or `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The height in pixels.
    pub height: u32,
    /// The width in pixels.
    pub width: u32,
}

impl Size {
    /// `side` by `side` pixels.
    pub const fn square(side: u32) -> Self {
        Self { height: side, width: side }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.height == self.width {
            serializer.serialize_u32(self.height)
        } else {
            [self.height, self.width].serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sides;
        impl<'de> Visitor<'de> for Sides {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of pixels or `[height, width]`")
            }

            fn visit_u64<E: de::Error>(self, side: u64) -> Result<Size, E> {
                u32::try_from(side).map(Size::square).map_err(|_| E::custom("too many pixels"))
            }

            fn visit_i64<E: de::Error>(self, side: i64) -> Result<Size, E> {
                u32::try_from(side).map(Size::square).map_err(|_| E::custom("no number of pixels"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sides: A) -> Result<Size, A::Error> {
                let mut side =
                    |at| sides.next_element()?.ok_or_else(|| de::Error::invalid_length(at, &"two numbers"));
                let size = Size { height: side(0)?, width: side(1)? };
                match sides.next_element::<u32>()? {
                    Some(_) => Err(de::Error::invalid_length(3, &"two numbers")),
                    None => Ok(size),
                }
            }
        }
        deserializer.deserialize_any(Sides)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "array"],
            "minimum": 1,
            "maximum": 4096,
            "items": { "type": "integer", "minimum": 1, "maximum": 4096 },
            "minItems": 2,
            "maxItems": 2,
        })
    }
}

/// The number of channels: 1, 3 or `auto`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Channels {
    /// 1 when every image is stored as gray, else 3.
    #[default]
    Auto,
    /// 1.
    Gray,
    /// 3.
    Colour,
}

impl Serialize for Channels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Gray => serializer.serialize_u8(1),
            Self::Colour => serializer.serialize_u8(3),
        }
    }
}

impl<'de> Deserialize<'de> for Channels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = Channels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("1, 3 or `auto`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Channels, E> {
                match number {
                    1 => Ok(Channels::Gray),
                    3 => Ok(Channels::Colour),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Channels, E> {
                self.visit_u64(number.unsigned_abs())
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Channels, E> {
                match word {
                    "auto" => Ok(Channels::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Word)
    }
}

impl JsonSchema for Channels {
    fn schema_name() -> Cow<'static, str> {
        "Channels".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["auto", 1, 3] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_or_two() {
        let read = |text| serde_json::from_str::<Size>(text);
        assert_eq!(read("28").unwrap(), Size::square(28));
        assert_eq!(read("[28, 40]").unwrap(), Size { height: 28, width: 40 });
        assert!(read("[28]").is_err() && read("[1, 2, 3]").is_err() && read("-3").is_err());
        assert_eq!(serde_json::to_string(&Size::square(28)).unwrap(), "28");
        assert_eq!(serde_json::to_string(&Size { height: 2, width: 3 }).unwrap(), "[2,3]");
    }

    #[test]
    fn channels_are_one_three_or_auto() {
        for text in ["1", "3", "\"auto\""] {
            let channels: Channels = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&channels).unwrap(), text);
        }
        assert!(serde_json::from_str::<Channels>("2").is_err());
    }
}
