//! Reads the header of a GGUF file, versions 2 and 3: metadata and the list of tensors. It loads no tensor,
//! and believes no number in the file: whatever the bytes are, the answer is a header or an error. Format:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, ErrorKind, Read as _, Seek as _, SeekFrom};

use sha2::{Digest as _, Sha256};

use super::error::LoadError;
use super::origin::{Origin, ReadSeek};

/// More than any real model has. A larger number is damage, and would cost memory before it is noticed.
const MAX_ENTRIES: u64 = 1 << 16;
const MAX_STRING: u64 = 1 << 24;
const MAX_ARRAY: u64 = 1 << 22;
const MAX_HEADER: u64 = 1 << 28;
const MAX_DEPTH: usize = 4;
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// The header of one file.
#[derive(Debug)]
pub(crate) struct Header {
    /// Where the file is.
    pub(crate) origin: Origin,
    /// Its length in bytes.
    pub(crate) file_length: u64,
    /// Everything that is not a tensor, by key.
    pub(crate) metadata: HashMap<String, Value>,
    /// The tensors, by name.
    pub(crate) tensors: BTreeMap<String, TensorEntry>,
    /// Where in the file the data of tensors begins.
    pub(crate) data_start: u64,
    /// SHA-256 state after the header's bytes.
    pub(crate) digest: Sha256,
}

/// A metadata value, as far as anybody here needs it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    String(String),
    Strings(Vec<String>),
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    /// An array of something else, read over.
    Other,
}

/// Where a tensor lies and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorEntry {
    /// Row-major shape: the last number is the length of a row (the reverse of the file's order).
    pub(crate) shape: Vec<u64>,
    /// ggml's number of the type of the elements.
    pub(crate) dtype: u32,
    /// Offset from the start of the tensor data.
    pub(crate) offset: u64,
}

impl Header {
    /// Reads the header of a file.
    pub(crate) fn read(origin: Origin) -> Result<Self, LoadError> {
        let mut inner = BufReader::with_capacity(1 << 16, origin.open()?);
        let length = inner.seek(SeekFrom::End(0)).and_then(|length| inner.rewind().map(|()| length));
        let length = length.map_err(|source| origin.unreadable(source))?;
        Reader { inner, origin, position: 0, length, digest: Sha256::new() }.header()
    }

    /// A whole number, whatever its width in the file.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<u64>, LoadError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(value)) => Ok(Some(*value)),
            Some(Value::Signed(value)) if *value >= 0 => Ok(Some(value.unsigned_abs())),
            Some(other) => Err(self.wrong(key, format!("{} instead of a whole number", other.kind()))),
        }
    }

    /// A number with a fraction.
    pub(crate) fn float(&self, key: &str) -> Result<Option<f64>, LoadError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) => Ok(Some(*value)),
            Some(other) => Err(self.wrong(key, format!("{} instead of a fraction", other.kind()))),
        }
    }

    /// A text.
    pub(crate) fn string(&self, key: &str) -> Result<Option<&str>, LoadError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value)),
            Some(other) => Err(self.wrong(key, format!("{} instead of a text", other.kind()))),
        }
    }

    /// The error that `key` should have been there.
    pub(crate) fn missing(&self, key: &str) -> LoadError {
        LoadError::MissingKey { origin: self.origin.clone(), key: key.to_owned() }
    }

    /// The error that the value of `key` makes no sense.
    pub(crate) fn wrong(&self, key: &str, problem: impl Into<String>) -> LoadError {
        LoadError::Metadata { origin: self.origin.clone(), key: key.to_owned(), problem: problem.into() }
    }
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "a whole number",
            Self::Signed(_) => "a signed number",
            Self::Float(_) => "a fraction",
            Self::Bool(_) => "a truth value",
            Self::String(_) => "a text",
            Self::Strings(_) | Self::Floats(_) | Self::Integers(_) | Self::Other => "a list",
        }
    }
}

struct Reader {
    inner: BufReader<Box<dyn ReadSeek>>,
    origin: Origin,
    position: u64,
    length: u64,
    digest: Sha256,
}

impl Reader {
    fn header(mut self) -> Result<Header, LoadError> {
        if self.length < 4 || self.array()? != *b"GGUF" {
            return Err(LoadError::NotGguf { origin: self.origin.clone() });
        }
        let version = self.u32()?;
        if !matches!(version, 2 | 3) {
            return Err(LoadError::Version { origin: self.origin.clone(), version });
        }
        let tensor_count = self.count(MAX_ENTRIES, "tensors")?;
        let metadata_count = self.count(MAX_ENTRIES, "metadata entries")?;

        let mut metadata = HashMap::new();
        for _ in 0..metadata_count {
            let key = self.string()?;
            let kind = self.u32()?;
            let value = self.value(kind, 0)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(self.damaged(format!("the metadata `{key}` stands in it twice")));
            }
        }
        let mut tensors = BTreeMap::new();
        for _ in 0..tensor_count {
            let (name, tensor) = self.tensor()?;
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(self.damaged(format!("the tensor `{name}` stands in it twice")));
            }
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Unsigned(value @ 1..=0x1_0000)) => *value,
            Some(_) => return Err(self.damaged("its alignment is impossible")),
        };
        let data_start = self.position.next_multiple_of(alignment);
        Ok(Header {
            origin: self.origin,
            file_length: self.length,
            metadata,
            tensors,
            data_start,
            digest: self.digest,
        })
    }

    fn tensor(&mut self) -> Result<(String, TensorEntry), LoadError> {
        let name = self.string()?;
        let dimensions = self.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(self.damaged(format!("the tensor `{name}` has {dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.u64()?);
        }
        shape.reverse();
        Ok((name, TensorEntry { shape, dtype: self.u32()?, offset: self.u64()? }))
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value, LoadError> {
        Ok(match kind {
            0 => Value::Unsigned(self.array::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::String(self.string()?),
            9 => self.list(depth)?,
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(self.damaged(format!("a value has the unknown type {other}"))),
        })
    }

    /// An array. Those that nobody needs are read over, so that they cost no memory.
    fn list(&mut self, depth: usize) -> Result<Value, LoadError> {
        if depth >= MAX_DEPTH {
            return Err(self.damaged("its lists lie in lists without end"));
        }
        let kind = self.u32()?;
        let count = self.count(MAX_ARRAY, "list elements")?;
        let mut strings = Vec::new();
        let mut floats = Vec::new();
        let mut integers = Vec::new();
        for _ in 0..count {
            match (kind, self.value(kind, depth + 1)?) {
                (8, Value::String(text)) => strings.push(text),
                (6, Value::Float(number)) => {
                    #[expect(clippy::cast_possible_truncation, reason = "it was read as f32")]
                    floats.push(number as f32);
                }
                (4 | 5, Value::Unsigned(number)) => integers.push(number.try_into().unwrap_or(i64::MAX)),
                (4 | 5, Value::Signed(number)) => integers.push(number),
                _ => {}
            }
        }
        Ok(match kind {
            8 => Value::Strings(strings),
            6 => Value::Floats(floats),
            4 | 5 => Value::Integers(integers),
            _ => Value::Other,
        })
    }

    fn string(&mut self) -> Result<String, LoadError> {
        let length = self.count(MAX_STRING, "bytes of one text")?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.fill(&mut bytes)?;
        // The format wants UTF-8 without a closing zero; files with other texts exist.
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A number of things that follow, at least a byte each.
    fn count(&mut self, limit: u64, what: &str) -> Result<u64, LoadError> {
        let count = self.u64()?;
        if count > limit {
            return Err(self.damaged(format!("it claims to have {count} {what}")));
        }
        let left = self.length.saturating_sub(self.position);
        if count > left {
            return Err(self.truncated(count - left));
        }
        Ok(count)
    }

    fn u32(&mut self) -> Result<u32, LoadError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, LoadError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LoadError> {
        let end = self.position.saturating_add(bytes.len() as u64);
        if end > self.length {
            return Err(self.truncated(end - self.length));
        }
        if end > MAX_HEADER {
            return Err(self.damaged("its header does not end"));
        }
        self.inner.read_exact(bytes).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => self.truncated(1),
            _ => self.origin.unreadable(source),
        })?;
        self.digest.update(&*bytes);
        self.position = end;
        Ok(())
    }

    fn truncated(&self, missing: u64) -> LoadError {
        LoadError::Truncated { origin: self.origin.clone(), missing }
    }

    fn damaged(&self, what: impl Into<String>) -> LoadError {
        LoadError::Damaged { origin: self.origin.clone(), what: what.into() }
    }
}
