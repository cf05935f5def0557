//! Reading the fields of JSON as other programs write them: what is absent and what is null are the same, numbers may be
//! written as texts, and a field that cannot be read is named.

use serde_json::{Map, Value};

/// A field that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct FieldError {
    /// Where it stands.
    pub field: String,
    /// What is wrong with it, to be read after its name.
    pub problem: String,
}

/// The fields of an object, and where it stands.
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    at: String,
}

impl<'a> Fields<'a> {
    pub(super) fn new(object: &'a Map<String, Value>, at: &str) -> Self {
        Self { object, at: at.to_owned() }
    }

    /// Where a field stands.
    pub(super) fn path(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) }
    }

    pub(super) fn error(&self, key: &str, problem: &str) -> FieldError {
        FieldError { field: self.path(key), problem: problem.to_owned() }
    }

    /// A value that is there and is not null.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// A text; empty when there is none.
    pub(super) fn text(&self, key: &str) -> Result<String, FieldError> {
        match self.value(key) {
            None => Ok(String::new()),
            Some(value) => as_text(value).ok_or_else(|| self.error(key, "is no text")),
        }
    }

    /// A list of texts; a text alone is one with a single entry.
    pub(super) fn list(&self, key: &str) -> Result<Vec<String>, FieldError> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => list
                .iter()
                .enumerate()
                .map(|(number, value)| {
                    as_text(value).ok_or_else(|| self.error(&format!("{key}[{number}]"), "is no text"))
                })
                .collect(),
            Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(_) => Err(self.error(key, "is no list")),
        }
    }

    /// A list of texts, or one text with commas.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, FieldError> {
        match self.value(key) {
            Some(Value::String(text)) => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()),
            _ => self.list(key),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, FieldError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::Number(number)) => Ok(Some(number.as_f64() != Some(0.0))),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(Some(text == "true")),
            Some(_) => Err(self.error(key, "is neither true nor false")),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, FieldError> {
        let number = match self.value(key) {
            None => return Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Bool(flag)) => Some(f64::from(u8::from(*flag))),
            Some(_) => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.error(key, "is no number")),
        }
    }

    /// A whole number, rounded.
    pub(super) fn whole(&self, key: &str) -> Result<Option<i64>, FieldError> {
        #[expect(clippy::cast_possible_truncation, reason = "what is larger becomes the largest")]
        Ok(self.number(key)?.map(|number| number.round() as i64))
    }

    /// A whole number from 0 up; negative ones, which other programs use for it, are none.
    pub(super) fn count(&self, key: &str) -> Result<Option<usize>, FieldError> {
        Ok(self.whole(key)?.and_then(|number| usize::try_from(number).ok()))
    }

    pub(super) fn object(&self, key: &str) -> Result<Option<&'a Map<String, Value>>, FieldError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            // An empty list is what some languages make of an empty object.
            Some(Value::Array(list)) if list.is_empty() => Ok(None),
            Some(_) => Err(self.error(key, "is no object")),
        }
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
