//! What can go wrong with the database, in words for the operator. Each text says what to do next.

use std::path::{Path, PathBuf};

use sqlx::migrate::MigrateError;

/// The database did not do what was asked. Nothing is half-written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "the database {} is used by another mummer: end that one, or set store.path to another file", path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a version that knows more.
    #[error(
        "the database {} was written by a newer mummer: install that version, or set store.path to another file",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be opened or made.
    #[error(
        "the database {} cannot be opened ({problem}): check that its directory is there and may be written, or set store.path to another file",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system or the database said.
        problem: String,
    },
    /// It is another kind of file, or damaged.
    #[error(
        "{} is not a sound database ({problem}): bring back a copy of it, or set store.path to another file",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database said.
        problem: String,
    },
    /// There is no room.
    #[error("there is no room for the database {}: make room on its disk", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Something else. The text speaks of the database, never of what it holds.
    #[error("the database {} failed ({problem}): see whether its disk is well", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the database said.
        problem: String,
    },
}

/// The primary result codes of `SQLite` that are told apart (<https://sqlite.org/rescode.html>).
const READONLY: u32 = 8;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const NOTADB: u32 = 26;

impl StoreError {
    /// What the library says, in our words.
    pub(super) fn of(path: &Path, error: &sqlx::Error) -> Self {
        let path = path.to_owned();
        // Extended codes have the primary one in their lowest byte.
        let database = error.as_database_error();
        let code = database.and_then(|error| error.code()?.parse::<u32>().ok()).map(|code| code & 0xff);
        let problem = database.map_or_else(|| error.to_string(), |error| error.message().to_owned());
        match code {
            Some(FULL) => Self::Full { path },
            Some(CORRUPT | NOTADB) => Self::Damaged { path, problem },
            Some(READONLY | CANTOPEN) => Self::Unusable { path, problem },
            _ => Self::Failed { path, problem },
        }
    }

    /// The same for bringing a database up to date.
    pub(super) fn of_migration(path: &Path, error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                Self::Newer { path: path.to_owned() }
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::of(path, &error),
            other => Self::Damaged { path: path.to_owned(), problem: other.to_string() },
        }
    }
}
