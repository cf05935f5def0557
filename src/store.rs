//! What survives a restart: conversations, the messages that were taken in, and what members and servers decide, in one
//! `SQLite` file. It decides nothing, and knows neither Discord nor a model.

mod conversations;
mod error;
mod memories;
mod personas;
mod privacy;
mod requests;
mod scenes;
mod settings;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row as _, SqlSafeStr as _};
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use crate::chat::history::ConversationId;

pub use error::StoreError;
pub use personas::{ChosenAlone, Playable, Saved};
pub use scenes::Staged;

/// Connections that read. The one that writes is another.
const READERS: u32 = 2;

/// How long a connection waits for another one. Nobody else uses the file, so it is waiting for ourselves.
const BUSY: Duration = Duration::from_secs(10);

/// How often the log is copied into the file. Whoever writes does not wait for that, as it would if it had to copy itself.
const COPYING: Duration = Duration::from_secs(1);

/// Most copies at a time: while one is made more is written, and the log begins anew only when nothing is left.
const COPIES: usize = 4;

/// A log of so many pages is copied by whoever writes, because the copies do not keep up.
const LOG_MAX: u32 = 16_384;

/// The database. Clones are the same.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    /// One connection, so that what is written is written in order.
    writer: SqlitePool,
    reader: SqlitePool,
    /// Another one that writes, and only copies the log into the file.
    copier: SqlitePool,
    /// What uses it, as long as there is a store.
    _copying: Arc<AbortOnDropHandle<()>>,
    /// The id that the next conversation gets.
    next: Arc<AtomicU64>,
    /// Held as long as the database is in use.
    _lock: Arc<File>,
}

impl Store {
    /// Opens a database, makes it where there is none, and brings it up to date.
    ///
    /// # Errors
    /// A [`StoreError`], also when another process has it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteConnectOptions::new()).await
    }

    async fn open_with(path: &Path, options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        // What people said is nobody's business but the operator's; the log and the index get the rights of the file.
        private(path).map_err(|problem| StoreError::Unusable {
            path: path.to_owned(),
            problem: problem.to_string(),
        })?;
        // What is in the log survives the end of this process at any moment, and secure_delete leaves nothing of what was
        // deleted in the file.
        let options = options
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .pragma("secure_delete", "ON")
            .pragma("wal_autocheckpoint", LOG_MAX.to_string());
        let failed = |error: sqlx::Error| StoreError::of(path, &error);
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections);
        let writer = pool(1).connect_with(options.clone()).await.map_err(failed)?;
        migrator().run(&writer).await.map_err(|error| StoreError::of_migration(path, error))?;
        let copier = pool(1).connect_with(options.clone()).await.map_err(failed)?;
        let reader = pool(READERS).connect_with(options.read_only(true).create_if_missing(false)).await;
        let store = Self {
            path: path.to_owned(),
            writer,
            reader: reader.map_err(failed)?,
            _copying: Arc::new(AbortOnDropHandle::new(tokio::spawn(copy_the_log(copier.clone())))),
            copier,
            next: Arc::default(),
            _lock: Arc::new(lock),
        };
        store.next.store(store.greatest_conversation().await? + 1, Ordering::Relaxed);
        Ok(store)
    }

    /// Waits for what is being written, and closes the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.copier.close().await;
        self.writer.close().await;
    }

    /// An id that no conversation has.
    #[must_use]
    pub fn new_conversation(&self) -> ConversationId {
        ConversationId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn failed(&self, error: &sqlx::Error) -> StoreError {
        StoreError::of(&self.path, error)
    }
}

/// The steps that make a database what it is now, in their order. Those that were published never change.
fn migrator() -> Migrator {
    let step = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        step(1, "conversations", include_str!("store/0001_conversations.sql")),
        step(2, "requests", include_str!("store/0002_requests.sql")),
        step(3, "threads", include_str!("store/0003_threads.sql")),
        step(4, "personas", include_str!("store/0004_personas.sql")),
        step(5, "rows", include_str!("store/0005_rows.sql")),
        step(6, "numbers", include_str!("store/0006_numbers.sql")),
        step(7, "ratings", include_str!("store/0007_ratings.sql")),
        step(8, "scenes", include_str!("store/0008_scenes.sql")),
        step(9, "memories", include_str!("store/0009_memories.sql")),
        step(10, "carried", include_str!("store/0010_carried.sql")),
        step(11, "together", include_str!("store/0011_together.sql")),
    ])
}

/// Copies the log into the file now and then. What fails is tried again, and is told once.
async fn copy_the_log(copier: SqlitePool) {
    let mut ticks = tokio::time::interval(COPYING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = false;
    while !copier.is_closed() {
        ticks.tick().await;
        for _ in 0..COPIES {
            let copy = async {
                let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&copier).await?;
                let (written, kept): (i64, i64) = (row.try_get("log")?, row.try_get("checkpointed")?);
                Ok::<_, sqlx::Error>(written == kept)
            };
            match copy.await {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => {
                    if !told && !copier.is_closed() {
                        tracing::warn!(
                            "the database's log could not be copied into its file, and grows: {error}"
                        );
                    }
                    told = true;
                    break;
                }
            }
        }
    }
}

/// Opens a file, and makes it where there is none, for its owner alone.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Takes the file that says that a database is in use. The system gives it back with the end of the process.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let unusable = |problem: &std::io::Error| StoreError::Unusable {
        path: path.to_owned(),
        problem: problem.to_string(),
    };
    let file = private(Path::new(&name)).map_err(|problem| unusable(&problem))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(problem)) => Err(unusable(&problem)),
    }
}

#[cfg(test)]
mod tests;
