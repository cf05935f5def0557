//! The personas of servers in tables and back.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::{Store, StoreError};
use crate::chat::settings::{Caps, PersonaVersion, ServerPersona};
use crate::chat::{MemberId, ServerId};
use crate::persona::PersonaId;

/// What became of a persona that was to be saved. Nothing has changed unless it is [`Saved::Version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// It is this version now, and this version is played.
    Version(u64),
    /// The server has as many personas as it may have, and this would be another one.
    TooManyPersonas {
        /// Most personas of a server.
        most: usize,
    },
    /// The definitions of the server would be too long.
    TooManyBytes {
        /// Bytes of all definitions together, with this one.
        have: usize,
        /// Most bytes of all definitions together.
        most: usize,
    },
}

impl Store {
    /// Writes down a new version of a server's persona, which is then the one that is played, and makes the persona where
    /// there is none. `made` is in seconds since 1970. Versions beyond the cap go, the oldest first.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn save_persona(
        &self,
        server: ServerId,
        id: &PersonaId,
        author: MemberId,
        made: u64,
        definition: &str,
        caps: Caps,
    ) -> Result<Saved, StoreError> {
        let (server, author) = (server.0.cast_signed(), author.0.cast_signed());
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            // No number is given twice while the persona exists: whatever versions go, the newest one stays.
            let greatest = "SELECT COALESCE(MAX(version), 0) AS greatest FROM persona_versions \
                            WHERE server = $1 AND id = $2";
            let greatest = sqlx::query(greatest).bind(server).bind(&id.0).fetch_one(&mut *writing).await?;
            let greatest: i64 = greatest.try_get("greatest")?;
            let personas = "SELECT COUNT(*) AS number FROM personas WHERE server = $1";
            if greatest == 0 && number(&mut writing, personas, server).await? >= caps.personas {
                writing.rollback().await?;
                return Ok(Saved::TooManyPersonas { most: caps.personas });
            }
            let version = greatest + 1;
            // Whoever made the persona stays its creator.
            let played = "INSERT INTO personas (server, id, creator, version) VALUES ($1, $2, $3, $4) \
                          ON CONFLICT (server, id) DO UPDATE SET version = $4";
            let played = sqlx::query(played).bind(server).bind(&id.0).bind(author).bind(version);
            played.execute(&mut *writing).await?;
            let insert = "INSERT INTO persona_versions (server, id, version, author, made, definition) \
                          VALUES ($1, $2, $3, $4, $5, $6)";
            let insert = sqlx::query(insert).bind(server).bind(&id.0).bind(version);
            let insert = insert.bind(author).bind(made.cast_signed()).bind(definition);
            insert.execute(&mut *writing).await?;
            drop_old_versions(&mut writing, server, id, caps.versions).await?;
            let bytes = "SELECT COALESCE(SUM(OCTET_LENGTH(definition)), 0) AS number FROM persona_versions \
                         WHERE server = $1";
            let have = number(&mut writing, bytes, server).await?;
            if have > caps.bytes {
                // This brings back the versions that would have gone.
                writing.rollback().await?;
                return Ok(Saved::TooManyBytes { have, most: caps.bytes });
            }
            writing.commit().await.map(|()| Saved::Version(version.cast_unsigned()))
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// The personas of a server, ordered by id.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn personas_of(&self, server: ServerId) -> Result<Vec<ServerPersona>, StoreError> {
        let select = "SELECT id, creator, version FROM personas WHERE server = $1 ORDER BY id";
        let select = sqlx::query(select).bind(server.0.cast_signed());
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter().map(persona).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// The versions of a server's persona that are kept, newest first; none where there is no such persona.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn persona_versions(
        &self,
        server: ServerId,
        id: &PersonaId,
    ) -> Result<Vec<PersonaVersion>, StoreError> {
        let select = "SELECT version, author, made, definition FROM persona_versions \
                      WHERE server = $1 AND id = $2 ORDER BY version DESC";
        let select = sqlx::query(select).bind(server.0.cast_signed()).bind(&id.0);
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter().map(version).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// The definition of a server's persona in the version that is played, if there is such a persona.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn persona_definition(
        &self,
        server: ServerId,
        id: &PersonaId,
    ) -> Result<Option<String>, StoreError> {
        let select = "SELECT definition FROM persona_versions JOIN personas USING (server, id, version) \
                      WHERE server = $1 AND id = $2";
        let select = sqlx::query(select).bind(server.0.cast_signed()).bind(&id.0);
        let read = async {
            let row = select.fetch_optional(&self.reader).await?;
            row.map(|row| row.try_get::<String, _>("definition")).transpose()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// From now on another version of a server's persona is played. False, and nothing has changed, where there is no such
    /// version.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn play_version(
        &self,
        server: ServerId,
        id: &PersonaId,
        version: u64,
    ) -> Result<bool, StoreError> {
        let update = "UPDATE personas SET version = $3 WHERE server = $1 AND id = $2 AND EXISTS \
                      (SELECT 1 FROM persona_versions WHERE server = $1 AND id = $2 AND version = $3)";
        let update = sqlx::query(update).bind(server.0.cast_signed()).bind(&id.0).bind(version.cast_signed());
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let updated = update.execute(&mut *writing).await?;
            writing.commit().await.map(|()| updated.rows_affected() > 0)
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// Deletes a server's persona with all of its versions. False where there is none.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn delete_persona(&self, server: ServerId, id: &PersonaId) -> Result<bool, StoreError> {
        // The versions go with the persona that they refer to.
        let delete = sqlx::query("DELETE FROM personas WHERE server = $1 AND id = $2");
        let delete = delete.bind(server.0.cast_signed()).bind(&id.0);
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let deleted = delete.execute(&mut *writing).await?;
            writing.commit().await.map(|()| deleted.rows_affected() > 0)
        };
        writing.await.map_err(|error| self.failed(&error))
    }
}

/// Keeps the newest versions of a persona. The newest one is played at this moment, so it stays whatever the cap is.
async fn drop_old_versions(
    writing: &mut Transaction<'_, Sqlite>,
    server: i64,
    id: &PersonaId,
    most: usize,
) -> Result<(), sqlx::Error> {
    let old = "DELETE FROM persona_versions WHERE server = $1 AND id = $2 AND version NOT IN \
               (SELECT version FROM persona_versions WHERE server = $1 AND id = $2 \
               ORDER BY version DESC LIMIT $3)";
    let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
    let old = sqlx::query(old).bind(server).bind(&id.0).bind(most);
    old.execute(&mut **writing).await.map(drop)
}

/// The one number that a query about a server yields.
async fn number(
    writing: &mut Transaction<'_, Sqlite>,
    query: &'static str,
    server: i64,
) -> Result<usize, sqlx::Error> {
    let row = sqlx::query(query).bind(server).fetch_one(&mut **writing).await?;
    Ok(usize::try_from(row.try_get::<i64, _>("number")?).unwrap_or(usize::MAX))
}

fn persona(row: &SqliteRow) -> Result<ServerPersona, sqlx::Error> {
    Ok(ServerPersona {
        id: PersonaId(row.try_get("id")?),
        creator: member(row, "creator")?,
        version: row.try_get::<i64, _>("version")?.cast_unsigned(),
    })
}

fn version(row: &SqliteRow) -> Result<PersonaVersion, sqlx::Error> {
    Ok(PersonaVersion {
        version: row.try_get::<i64, _>("version")?.cast_unsigned(),
        author: member(row, "author")?,
        made: row.try_get::<i64, _>("made")?.cast_unsigned(),
        definition: row.try_get("definition")?,
    })
}

fn member(row: &SqliteRow, column: &str) -> Result<Option<MemberId>, sqlx::Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(|id| MemberId(id.cast_unsigned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: ServerId = ServerId(u64::MAX);
    const OTHER: ServerId = ServerId(2);
    const ANN: MemberId = MemberId(u64::MAX - 1);
    const BOB: MemberId = MemberId(20);

    async fn open(directory: &tempfile::TempDir) -> Store {
        Store::open(&directory.path().join("mummer.db")).await.expect("it opens")
    }

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("there is room")
    }

    fn id(name: &str) -> PersonaId {
        PersonaId(name.to_owned())
    }

    /// Bob saves a persona.
    async fn save(store: &Store, server: ServerId, name: &str, definition: &str, caps: Caps) -> Saved {
        store.save_persona(server, &id(name), BOB, 7, definition, caps).await.expect("it is written")
    }

    async fn versions(store: &Store, server: ServerId, name: &str) -> Vec<PersonaVersion> {
        store.persona_versions(server, &id(name)).await.expect("they are read")
    }

    async fn numbers(store: &Store, name: &str) -> Vec<u64> {
        versions(store, SERVER, name).await.iter().map(|version| version.version).collect()
    }

    async fn personas(store: &Store, server: ServerId) -> Vec<ServerPersona> {
        store.personas_of(server).await.expect("they are read")
    }

    async fn played(store: &Store, server: ServerId, name: &str) -> Option<String> {
        store.persona_definition(server, &id(name)).await.expect("it is read")
    }

    async fn play(store: &Store, server: ServerId, name: &str, version: u64) -> bool {
        store.play_version(server, &id(name), version).await.expect("it is written")
    }

    #[tokio::test]
    async fn every_change_is_a_version_and_the_newest_is_played() {
        let directory = directory();
        let store = open(&directory).await;
        assert_eq!(personas(&store, SERVER).await, []);
        assert_eq!(played(&store, SERVER, "ada").await, None);
        let first = store.save_persona(SERVER, &id("ada"), ANN, u64::MAX, "one", Caps::default()).await;
        assert_eq!(first.expect("it is written"), Saved::Version(1));
        assert_eq!(save(&store, SERVER, "ada", "two", Caps::default()).await, Saved::Version(2));
        let kept = [
            PersonaVersion { version: 2, author: Some(BOB), made: 7, definition: "two".to_owned() },
            PersonaVersion { version: 1, author: Some(ANN), made: u64::MAX, definition: "one".to_owned() },
        ];
        store.close().await;
        drop(store);
        let store = open(&directory).await;
        assert_eq!(versions(&store, SERVER, "ada").await, kept);
        assert_eq!(played(&store, SERVER, "ada").await.as_deref(), Some("two"));
        let creator_stays = ServerPersona { id: id("ada"), creator: Some(ANN), version: 2 };
        assert_eq!(personas(&store, SERVER).await, [creator_stays]);
    }

    #[tokio::test]
    async fn an_older_version_is_played_again() {
        let directory = directory();
        let store = open(&directory).await;
        for definition in ["one", "two", "three"] {
            let _ = save(&store, SERVER, "ada", definition, Caps::default()).await;
        }
        assert!(play(&store, SERVER, "ada", 1).await);
        assert_eq!(played(&store, SERVER, "ada").await.as_deref(), Some("one"));
        assert_eq!(personas(&store, SERVER).await[0].version, 1);
        assert_eq!(numbers(&store, "ada").await, [3, 2, 1]);
        for (name, version) in [("ada", 0), ("ada", 4), ("eve", 1)] {
            assert!(!play(&store, SERVER, name, version).await, "{name} {version}");
        }
        assert_eq!(played(&store, SERVER, "ada").await.as_deref(), Some("one"));
        // Numbers go on from the greatest one, not from the one that was played.
        assert_eq!(save(&store, SERVER, "ada", "four", Caps::default()).await, Saved::Version(4));
        assert_eq!(played(&store, SERVER, "ada").await.as_deref(), Some("four"));
    }

    #[tokio::test]
    async fn another_persona_than_the_most_is_refused() {
        let directory = directory();
        let store = open(&directory).await;
        let caps = Caps { personas: 2, ..Caps::default() };
        for name in ["eve", "ada"] {
            assert_eq!(save(&store, SERVER, name, "one", caps).await, Saved::Version(1));
        }
        assert_eq!(save(&store, SERVER, "joe", "one", caps).await, Saved::TooManyPersonas { most: 2 });
        let names: Vec<String> =
            personas(&store, SERVER).await.into_iter().map(|persona| persona.id.0).collect();
        assert_eq!(names, ["ada", "eve"]);
        assert_eq!(versions(&store, SERVER, "joe").await, []);
        assert_eq!(played(&store, SERVER, "joe").await, None);
        // Those that are there may change, and other servers have their own.
        assert_eq!(save(&store, SERVER, "ada", "two", caps).await, Saved::Version(2));
        assert_eq!(save(&store, OTHER, "joe", "one", caps).await, Saved::Version(1));
        assert!(store.delete_persona(SERVER, &id("eve")).await.expect("it is deleted"));
        assert_eq!(save(&store, SERVER, "joe", "one", caps).await, Saved::Version(1));
    }

    #[tokio::test]
    async fn the_oldest_versions_go() {
        let directory = directory();
        let store = open(&directory).await;
        let caps = Caps { versions: 2, ..Caps::default() };
        for (definition, version) in [("one", 1), ("two", 2), ("three", 3)] {
            assert_eq!(save(&store, SERVER, "ada", definition, caps).await, Saved::Version(version));
        }
        assert_eq!(save(&store, SERVER, "eve", "one", caps).await, Saved::Version(1));
        assert_eq!(numbers(&store, "ada").await, [3, 2]);
        assert!(!play(&store, SERVER, "ada", 1).await);
        // What was played until now may go: the new version is the one that must stay.
        assert!(play(&store, SERVER, "ada", 2).await);
        assert_eq!(save(&store, SERVER, "ada", "four", caps).await, Saved::Version(4));
        assert_eq!(numbers(&store, "ada").await, [4, 3]);
        let none = Caps { versions: 0, ..caps };
        assert_eq!(save(&store, SERVER, "ada", "five", none).await, Saved::Version(5));
        assert_eq!(numbers(&store, "ada").await, [5]);
        assert_eq!(played(&store, SERVER, "ada").await.as_deref(), Some("five"));
        assert_eq!(numbers(&store, "eve").await, [1]);
    }

    #[tokio::test]
    async fn definitions_that_are_too_long_together_are_refused() {
        let directory = directory();
        let store = open(&directory).await;
        let caps = Caps { versions: 2, bytes: 10, ..Caps::default() };
        // Two bytes each: bytes count, not characters.
        assert_eq!(save(&store, SERVER, "ada", "äö", caps).await, Saved::Version(1));
        assert_eq!(save(&store, SERVER, "ada", "four", caps).await, Saved::Version(2));
        assert_eq!(save(&store, SERVER, "eve", "ab", caps).await, Saved::Version(1));
        let before = (personas(&store, SERVER).await, versions(&store, SERVER, "ada").await);
        let refused = Saved::TooManyBytes { have: 11, most: 10 };
        // The oldest version would go, and there is not enough room all the same: then it does not go.
        assert_eq!(save(&store, SERVER, "ada", "fünf", caps).await, refused);
        assert_eq!(save(&store, SERVER, "joe", "a", caps).await, refused);
        assert_eq!((personas(&store, SERVER).await, versions(&store, SERVER, "ada").await), before);
        assert_eq!(played(&store, SERVER, "ada").await.as_deref(), Some("four"));
        assert_eq!(versions(&store, SERVER, "joe").await, []);
        // The room of the version that goes is free for the new one, and other servers have their own room.
        assert_eq!(save(&store, SERVER, "ada", "cinq", caps).await, Saved::Version(3));
        assert_eq!(save(&store, OTHER, "ada", "1234567890", caps).await, Saved::Version(1));
    }

    #[tokio::test]
    async fn a_persona_that_is_deleted_takes_its_versions_along() {
        let directory = directory();
        let store = open(&directory).await;
        for definition in ["one", "two"] {
            let _ = save(&store, SERVER, "ada", definition, Caps::default()).await;
        }
        let _ = save(&store, SERVER, "eve", "one", Caps::default()).await;
        assert!(store.delete_persona(SERVER, &id("ada")).await.expect("it is deleted"));
        assert!(!store.delete_persona(SERVER, &id("ada")).await.expect("there is none"));
        assert_eq!(versions(&store, SERVER, "ada").await, []);
        assert_eq!(played(&store, SERVER, "ada").await, None);
        assert_eq!(numbers(&store, "eve").await, [1]);
        assert_eq!(save(&store, SERVER, "ada", "anew", Caps::default()).await, Saved::Version(1));
    }

    #[tokio::test]
    async fn servers_do_not_see_the_personas_of_others() {
        let directory = directory();
        let store = open(&directory).await;
        for definition in ["one", "two"] {
            let _ = save(&store, SERVER, "ada", definition, Caps::default()).await;
        }
        assert_eq!(personas(&store, OTHER).await, []);
        assert_eq!(versions(&store, OTHER, "ada").await, []);
        assert_eq!(played(&store, OTHER, "ada").await, None);
        assert!(!play(&store, OTHER, "ada", 1).await);
        assert!(!store.delete_persona(OTHER, &id("ada")).await.expect("there is none"));
        assert_eq!(save(&store, OTHER, "ada", "theirs", Caps::default()).await, Saved::Version(1));
        assert_eq!(played(&store, OTHER, "ada").await.as_deref(), Some("theirs"));
        assert_eq!(played(&store, SERVER, "ada").await.as_deref(), Some("two"));
        assert!(store.delete_persona(OTHER, &id("ada")).await.expect("it is deleted"));
        assert_eq!(numbers(&store, "ada").await, [2, 1]);
    }
}
