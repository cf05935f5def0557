//! Archives: several files in one, and back. What strangers have packed is read within bounds, and no name in it leads
//! out of it.

mod scene;

use std::io::{Cursor, Read, Write as _};

use zip::result::ZipError;

use super::import::LARGEST_FILE;
use super::is_hidden;

pub use scene::Scene;

/// Most files of an archive.
pub const MOST_FILES: usize = 200;

/// Most bytes of all its files together.
pub const LARGEST_CONTENT: usize = 64 << 20;

/// How an archive begins, and one in which there is nothing.
const SIGNATURES: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// Characters that names of files may not have everywhere.
const RESERVED: [char; 7] = [':', '*', '?', '"', '<', '>', '|'];

/// An archive that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The bytes are no archive, or it is damaged.
    #[error("the archive cannot be read ({0}); pack it again as a zip without a password")]
    Broken(String),
    /// More files than there may be.
    #[error("the archive has more than {MOST_FILES} files; leave some out")]
    TooMany,
    /// A file with more bytes than it may have.
    #[error("{} in the archive is larger than {} MB; leave it out", .0, LARGEST_FILE >> 20)]
    FileTooLarge(String),
    /// More bytes than there may be.
    #[error("the archive holds more than {} MB; leave some of it out", LARGEST_CONTENT >> 20)]
    TooLarge,
    /// It can be read, and has no chat in it.
    #[error("the archive holds no chat: a file whose name ends with .jsonl")]
    NoChat,
    /// It has several chats.
    #[error("the archive holds {0} chats; leave one in it")]
    ManyChats(usize),
    /// The card of a persona cannot be written.
    #[error("the card of {persona} cannot be written: {problem}")]
    Card {
        /// Whose.
        persona: String,
        /// Why.
        problem: String,
    },
}

impl From<ZipError> for ArchiveError {
    fn from(error: ZipError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<std::io::Error> for ArchiveError {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Whether the bytes begin as an archive does.
#[must_use]
pub fn is_archive(bytes: &[u8]) -> bool {
    SIGNATURES.iter().any(|signature| bytes.starts_with(signature))
}

/// Packs files, each with its name. The same files make the same archive.
///
/// # Errors
/// [`ArchiveError`] when there are too many, when they are too large, or two have one name.
pub fn pack(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, ArchiveError> {
    if files.len() > MOST_FILES {
        return Err(ArchiveError::TooMany);
    }
    if let Some((name, _)) = files.iter().find(|(_, bytes)| bytes.len() > LARGEST_FILE) {
        return Err(ArchiveError::FileTooLarge(harmless(name)));
    }
    if files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > LARGEST_CONTENT {
        return Err(ArchiveError::TooLarge);
    }
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
    for (name, bytes) in files {
        archive.start_file(harmless(name), options)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}

/// The files of an archive, each with a harmless name. Directories, and files whose name says nothing, are left out.
///
/// # Errors
/// [`ArchiveError`] when it cannot be read, and when more is in it than there may be.
pub fn unpack(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    if archive.len() > MOST_FILES {
        return Err(ArchiveError::TooMany);
    }
    let mut files = Vec::new();
    let mut room = LARGEST_CONTENT;
    for number in 0..archive.len() {
        let file = archive.by_index(number)?;
        let name = harmless(&file.name()?);
        if file.is_dir() || name.is_empty() {
            continue;
        }
        let most = room.min(LARGEST_FILE);
        let bytes = bounded(file, most)?.ok_or_else(|| {
            if most < LARGEST_FILE {
                ArchiveError::TooLarge
            } else {
                ArchiveError::FileTooLarge(name.clone())
            }
        })?;
        room -= bytes.len();
        files.push((name, bytes));
    }
    Ok(files)
}

/// Reads to the end, but no more than so many bytes; nothing where there are more. What an archive says of its sizes need
/// not be true.
pub(super) fn bounded(from: impl Read, most: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= most).then_some(bytes))
}

/// A name that leads nowhere: below the place where it is unpacked, of characters that can be seen and that every system
/// takes. Empty where nothing is left of it.
fn harmless(name: &str) -> String {
    let parts = name.split(['/', '\\']).map(|part| {
        let visible = part.chars().filter(|&c| !is_hidden(c));
        let part: String = visible.map(|c| if RESERVED.contains(&c) { '_' } else { c }).collect();
        part.trim().to_owned()
    });
    let parts: Vec<String> = parts.filter(|part| part.chars().any(|c| c != '.')).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
        (name.to_owned(), bytes.to_vec())
    }

    /// An archive as others pack it.
    fn foreign(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).expect("a file");
            archive.write_all(bytes).expect("it is written");
        }
        archive.finish().expect("an archive").into_inner()
    }

    fn refused(bytes: &[u8]) -> String {
        unpack(bytes).expect_err("it is refused").to_string()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let files =
            [file("chats/ada.jsonl", b"{}"), file("empty", b""), file("worlds/ü.json", &vec![7; 70_000])];
        let packed = pack(&files).expect("it is packed");
        assert!(is_archive(&packed) && packed.len() < 1_000, "{} bytes", packed.len());
        assert_eq!(pack(&files), Ok(packed.clone()));
        assert_eq!(unpack(&packed), Ok(files.to_vec()));
        let nothing = pack(&[]).expect("it is packed");
        assert!(is_archive(&nothing) && unpack(&nothing) == Ok(Vec::new()));
    }

    #[test]
    fn no_name_leads_out_of_it() {
        let files = foreign(&[
            ("../../etc/passwd", b"1"),
            ("/root", b"2"),
            ("C:\\Windows\\x.ini", b"3"),
            ("a/./b//c..d", b"4"),
            ("a\u{202e}\n<b>", b"5"),
            ("dir/", b""),
            ("../..", b"6"),
        ]);
        let names: Vec<String> =
            unpack(&files).expect("it is unpacked").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["etc/passwd", "root", "C_/Windows/x.ini", "a/b/c..d", "a_b_"]);
        let packed = pack(&[file("../x", b"1")]).expect("it is packed");
        assert_eq!(unpack(&packed), Ok(vec![file("x", b"1")]));
    }

    #[test]
    fn what_is_too_much_is_refused_in_a_sentence() {
        let many: Vec<String> = (0..=MOST_FILES).map(|number| number.to_string()).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        let bomb = vec![0; LARGEST_FILE + 1];
        let large = &bomb[..LARGEST_FILE];
        for (bytes, expected) in [
            (foreign(&many), "more than 200 files"),
            (foreign(&[("bomb", &bomb)]), "bomb in the archive is larger than 32 MB"),
            (foreign(&[("a", large), ("b", large), ("c", b"x")]), "holds more than 64 MB"),
        ] {
            assert!(bytes.len() < 1 << 20, "it is small");
            let error = refused(&bytes);
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        }
        assert_eq!(pack(&[file("bomb", &bomb)]), Err(ArchiveError::FileTooLarge("bomb".to_owned())));
        let large = [file("a", large), file("b", large), file("c", b"x")];
        assert_eq!(pack(&large), Err(ArchiveError::TooLarge));
        let many: Vec<(String, Vec<u8>)> = many.iter().map(|(name, bytes)| file(name, bytes)).collect();
        assert_eq!(pack(&many), Err(ArchiveError::TooMany));
    }

    #[test]
    fn what_is_no_archive_is_refused_in_a_sentence() {
        let whole = foreign(&[("a", b"some text, some text, some text")]);
        let mut damaged = whole.clone();
        damaged[40] ^= 0xff;
        for bytes in [&b""[..], b"PK\x03\x04", b"{}", &whole[..whole.len() - 10], &damaged] {
            let error = refused(bytes);
            assert!(error.starts_with("the archive cannot be read ("), "{error}");
        }
        let twins = [file("a", b"1"), file("./a", b"2")];
        assert!(matches!(pack(&twins), Err(ArchiveError::Broken(_))));
    }

    proptest! {
        #[test]
        fn no_name_is_harmful(name in "([./\\\\:]|\\PC|[a-c]|\n){0,20}") {
            let name = harmless(&name);
            prop_assert!(!name.starts_with('/') && !name.contains(['\\', ':', '\n']), "{name:?}");
            prop_assert!(name.is_empty() || name.split('/').all(|part| !["", ".", ".."].contains(&part)), "{name:?}");
            prop_assert_eq!(harmless(&name), name);
        }
    }
}
