//! Where the bytes of a model come from: a file, or the program itself, which carries a small model that stands in
//! for a real one, the understudy. It opens them and understands none of them.

use std::fmt;
use std::fs::File;
use std::io::{Cursor, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use super::error::LoadError;

/// The understudy, a whole GGUF file.
pub static UNDERSTUDY: &[u8] = &ALIGNED.0;

static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!("../../models/understudy.gguf"));

/// Bytes that begin where a cache line does. GGUF aligns its tensors within the file; so they are aligned in memory
/// too.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

/// Where the bytes of a model, or of a tokenizer, come from. Shown as errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// The program: [`UNDERSTUDY`].
    Understudy,
}

/// What can be read from any place on.
pub(crate) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

impl Origin {
    /// Opens the bytes for reading.
    pub(crate) fn open(&self) -> Result<Box<dyn ReadSeek>, LoadError> {
        let path = match self {
            Self::File(path) => path,
            Self::Understudy => return Ok(Box::new(Cursor::new(UNDERSTUDY))),
        };
        let file = File::open(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => LoadError::NotFound { path: path.clone() },
            _ => self.unreadable(source),
        })?;
        if file.metadata().map_err(|source| self.unreadable(source))?.is_dir() {
            return Err(LoadError::NotGguf { origin: self.clone() });
        }
        Ok(Box::new(file))
    }

    /// What a model is called that does not say its name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Understudy => "understudy".to_owned(),
        }
    }

    /// The error that the operating system refused to read the bytes.
    pub(crate) fn unreadable(&self, source: std::io::Error) -> LoadError {
        LoadError::Io { origin: self.clone(), source }
    }
}

impl From<&Path> for Origin {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Understudy => formatter.write_str("the built-in model"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gguf::Header;
    use super::super::vocabulary::{Kind, Vocabulary};
    use super::super::weights;
    use super::*;

    #[test]
    fn the_understudy_is_a_small_llama_with_all_bytes_and_a_tied_embedding() {
        assert!(UNDERSTUDY.len() <= 8_000_000, "{} bytes", UNDERSTUDY.len());
        assert!(UNDERSTUDY.as_ptr().addr().is_multiple_of(align_of_val(ALIGNED)));
        let header = Header::read(Origin::Understudy).expect("it is a GGUF file");
        weights::check_architecture(&header).expect("it is a Llama");
        weights::check(&header).expect("it can be computed");
        assert!(!header.tensors.contains_key("output.weight"));

        let vocabulary = Vocabulary::from_gguf(&header).expect("it has a vocabulary");
        let specials: Vec<&str> = vocabulary.pieces[..3].iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(specials, ["<unk>", "<s>", "</s>"]);
        assert_eq!((vocabulary.bos, vocabulary.eos), (1, 2));
        let bytes = vocabulary.pieces[3..259].iter().map(|piece| piece.kind);
        assert!(bytes.eq((0..=255).map(Kind::Byte)), "{:?}", &vocabulary.pieces[3..259]);
    }

    #[test]
    fn errors_name_a_file_by_its_path_and_the_understudy_by_what_it_is() {
        let error = |origin: Origin| LoadError::NotGguf { origin }.to_string();
        assert!(error(Path::new("a/b.gguf").into()).starts_with("a/b.gguf is not"));
        assert!(error(Origin::Understudy).starts_with("the built-in model is not"));
    }
}
