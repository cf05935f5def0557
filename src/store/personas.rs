//! The personas of servers in tables and back, and who plays in direct messages.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite, Transaction};

use super::requests::{server, server_column};
use super::settings::note;
use super::{Store, StoreError};
use crate::chat::settings::{Caps, Decision, Mark, PersonaDraft, PersonaVersion, ServerPersona};
use crate::chat::{ChannelId, MemberId, ServerId};
use crate::persona::PersonaId;

/// What became of a persona that was to be saved. Nothing has changed unless it is [`Saved::Version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// It is this version now, and this version is played.
    Version(u64),
    /// A persona that was to be new is there.
    Taken,
    /// Another version than the one that it was made from is played, or the persona is gone.
    Changed,
    /// The server has as many personas as it may have, and this would be another one.
    TooManyPersonas {
        /// Most personas of a server.
        most: usize,
    },
    /// The member has made as many personas as one may, and this would be another one.
    TooManyOfTheirs {
        /// Most personas of a member.
        most: usize,
    },
    /// The definition is too long.
    TooLong {
        /// Its bytes.
        have: usize,
        /// Most bytes of a definition.
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

/// A server's persona with all that it takes to play it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playable {
    /// Which it is, and who may play it.
    pub persona: ServerPersona,
    /// The definition in the version that is played.
    pub definition: String,
    /// Its picture, a PNG file.
    pub avatar: Option<Vec<u8>>,
}

/// Whom a member has chosen in their direct messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenAlone {
    /// The direct messages.
    pub channel: ChannelId,
    /// Whose they are.
    pub member: MemberId,
    /// The server to which the persona belongs, if it belongs to one.
    pub server: Option<ServerId>,
    /// Whom.
    pub persona: PersonaId,
}

impl Store {
    /// Writes down a new version of a server's persona, which is then the one that is played, and makes the persona where
    /// the draft says that it is new. Versions beyond the cap go, the oldest first. It stands in the server's audit list as this
    /// decision, whose member is the author.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn save_persona(
        &self,
        of: ServerId,
        draft: &PersonaDraft,
        caps: Caps,
        decision: &Decision,
    ) -> Result<Saved, StoreError> {
        let server = of.0.cast_signed();
        let author = decision.member.map(|author| author.0.cast_signed());
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            if let Some(refused) = refused(&mut writing, server, draft, author, caps).await? {
                writing.rollback().await?;
                return Ok(refused);
            }
            // No number is given twice: whatever versions go, the newest one stays, and of a persona that is gone its number.
            let greatest = "SELECT COALESCE(MAX(version), 0) AS number FROM \
                            (SELECT version FROM persona_versions WHERE server = $1 AND id = $2 \
                            UNION ALL SELECT version FROM personas_gone WHERE server = $1 AND id = $2) AS numbers";
            let greatest = sqlx::query(greatest).bind(server).bind(&draft.id.0);
            let version = greatest.fetch_one(&mut *writing).await?.try_get::<i64, _>("number")? + 1;
            // Whoever made the persona stays its creator.
            let played = "INSERT INTO personas (server, id, creator, version, adult, shared, from_file) \
                          VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (server, id) DO UPDATE SET version = $4, \
                          from_file = MAX(from_file, $7), \
                          adult = CASE WHEN $7 <> 0 AND adult = 0 THEN NULL ELSE adult END";
            let played = sqlx::query(played).bind(server).bind(&draft.id.0).bind(author).bind(version);
            let played = played.bind(draft.adult.map(i64::from)).bind(i64::from(draft.shared));
            let played = played.bind(i64::from(draft.from_file));
            played.execute(&mut *writing).await?;
            if let Some(avatar) = &draft.avatar {
                let update = "UPDATE personas SET avatar = $3 WHERE server = $1 AND id = $2";
                let update = sqlx::query(update).bind(server).bind(&draft.id.0).bind(avatar);
                update.execute(&mut *writing).await?;
            }
            let insert = "INSERT INTO persona_versions (server, id, version, author, made, definition) \
                          VALUES ($1, $2, $3, $4, $5, $6)";
            let insert = sqlx::query(insert).bind(server).bind(&draft.id.0).bind(version);
            let insert = insert.bind(author).bind(decision.at.cast_signed()).bind(&draft.definition);
            insert.execute(&mut *writing).await?;
            drop_old_versions(&mut writing, server, &draft.id, caps.versions).await?;
            let bytes = "SELECT COALESCE(SUM(OCTET_LENGTH(definition)), 0) AS number FROM persona_versions \
                         WHERE server = $1";
            let have = number(&mut writing, bytes, server).await?;
            if have > caps.bytes {
                // This brings back the versions that would have gone.
                writing.rollback().await?;
                return Ok(Saved::TooManyBytes { have, most: caps.bytes });
            }
            note(&mut writing, of, decision).await?;
            writing.commit().await.map(|()| Saved::Version(version.cast_unsigned()))
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// The personas of a server, ordered by id.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn personas_of(&self, server: ServerId) -> Result<Vec<ServerPersona>, StoreError> {
        let select = "SELECT * FROM personas WHERE server = $1 ORDER BY id";
        let select = sqlx::query(select).bind(server.0.cast_signed());
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter().map(persona).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// The personas of a server with all that it takes to play them, ordered by id.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn playable_personas_of(&self, server: ServerId) -> Result<Vec<Playable>, StoreError> {
        let select = "SELECT personas.*, definition FROM personas JOIN persona_versions USING (server, id, version) \
                      WHERE server = $1 ORDER BY id";
        let select = sqlx::query(select).bind(server.0.cast_signed());
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter().map(playable).collect::<Result<_, sqlx::Error>>()
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

    /// From now on another version of a server's persona is played, which stands in the audit list as this decision. Where any text
    /// of the persona came from a file, nobody has said of this one that it is not for adults. False, and nothing has changed, where
    /// there is no such version.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn play_version(
        &self,
        server: ServerId,
        id: &PersonaId,
        version: u64,
        decision: &Decision,
    ) -> Result<bool, StoreError> {
        let update = "UPDATE personas SET version = $3, adult = CASE WHEN version <> $3 AND from_file <> 0 \
                      AND adult = 0 THEN NULL ELSE adult END WHERE server = $1 AND id = $2 AND EXISTS \
                      (SELECT 1 FROM persona_versions WHERE server = $1 AND id = $2 AND version = $3)";
        let update = sqlx::query(update).bind(server.0.cast_signed()).bind(&id.0).bind(version.cast_signed());
        self.decide(server, update, decision).await
    }

    /// Says something of a server's persona beside its text, which stands in the audit list as this decision. False, and nothing has
    /// changed, where it is so already, and where there is no such persona. It takes an admin to say that one is not for adults of
    /// which an admin has said that it is, or that came from a file.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn mark_persona(
        &self,
        server: ServerId,
        id: &PersonaId,
        mark: &Mark,
        by_admin: bool,
        decision: &Decision,
    ) -> Result<bool, StoreError> {
        let (of, id) = (server.0.cast_signed(), &id.0);
        let update = match mark {
            Mark::Adult(adult) => {
                let update = "UPDATE personas SET adult = $3, adult_by_admin = $3 * $4 \
                              WHERE server = $1 AND id = $2 AND (adult IS NOT $3 OR adult_by_admin < $3 * $4) \
                              AND ($3 <> 0 OR $4 <> 0 OR (adult_by_admin = 0 AND from_file = 0))";
                sqlx::query(update).bind(of).bind(id).bind(i64::from(*adult)).bind(i64::from(by_admin))
            }
            Mark::Shared(shared) => {
                let update = "UPDATE personas SET shared = $3 WHERE server = $1 AND id = $2 AND shared <> $3";
                sqlx::query(update).bind(of).bind(id).bind(i64::from(*shared))
            }
            Mark::Avatar(avatar) => {
                let update = "UPDATE personas SET avatar = $3 WHERE server = $1 AND id = $2";
                sqlx::query(update).bind(of).bind(id).bind(avatar.as_deref())
            }
        };
        self.decide(server, update, decision).await
    }

    /// Deletes a server's persona with all of its versions, when this version of it is played. False, and nothing has changed,
    /// where it is not.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn delete_persona(
        &self,
        server: ServerId,
        id: &PersonaId,
        version: u64,
        decision: &Decision,
    ) -> Result<bool, StoreError> {
        let (of, version) = (server.0.cast_signed(), version.cast_signed());
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let gone = "INSERT INTO personas_gone (server, id, version) \
                        SELECT server, id, MAX(version) FROM persona_versions \
                        WHERE server = $1 AND id = $2 GROUP BY server, id \
                        ON CONFLICT (server, id) DO UPDATE SET version = EXCLUDED.version";
            sqlx::query(gone).bind(of).bind(&id.0).execute(&mut *writing).await?;
            // The versions go with the persona that they refer to.
            let delete = "DELETE FROM personas WHERE server = $1 AND id = $2 AND version = $3";
            let deleted =
                sqlx::query(delete).bind(of).bind(&id.0).bind(version).execute(&mut *writing).await?;
            if deleted.rows_affected() == 0 {
                writing.rollback().await?;
                return Ok(false);
            }
            note(&mut writing, server, decision).await?;
            writing.commit().await.map(|()| true)
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// Makes a change, and notes the decision when it has changed something. Whether it has.
    async fn decide(
        &self,
        server: ServerId,
        change: Query<'_, Sqlite, SqliteArguments>,
        decision: &Decision,
    ) -> Result<bool, StoreError> {
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let has_changed = change.execute(&mut *writing).await?.rows_affected() > 0;
            if has_changed {
                note(&mut writing, server, decision).await?;
            }
            writing.commit().await.map(|()| has_changed)
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// Writes down whom a member has chosen in their direct messages.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn choose_alone(&self, chosen: &ChosenAlone) -> Result<(), StoreError> {
        let insert = "INSERT INTO chosen_alone (channel, member, server, persona) VALUES ($1, $2, $3, $4) \
                      ON CONFLICT (channel) DO UPDATE SET member = $2, server = $3, persona = $4";
        let insert =
            sqlx::query(insert).bind(chosen.channel.0.cast_signed()).bind(chosen.member.0.cast_signed());
        let insert = insert.bind(server_column(chosen.server)).bind(&chosen.persona.0);
        insert.execute(&self.writer).await.map(drop).map_err(|error| self.failed(&error))
    }

    /// Takes back whom a member has chosen in their direct messages.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn choose_nobody(&self, channel: ChannelId) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM chosen_alone WHERE channel = $1").bind(channel.0.cast_signed());
        delete.execute(&self.writer).await.map(drop).map_err(|error| self.failed(&error))
    }

    /// Whom members have chosen in their direct messages.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn chosen_alone(&self) -> Result<Vec<ChosenAlone>, StoreError> {
        let read = async {
            let rows = sqlx::query("SELECT * FROM chosen_alone").fetch_all(&self.reader).await?;
            rows.iter().map(chosen).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }
}

/// Why a draft is not saved, if it is not: it is too long, was made from another version, or would be one persona too many.
async fn refused(
    writing: &mut Transaction<'_, Sqlite>,
    server: i64,
    draft: &PersonaDraft,
    author: Option<i64>,
    caps: Caps,
) -> Result<Option<Saved>, sqlx::Error> {
    if draft.definition.len() > caps.definition {
        return Ok(Some(Saved::TooLong { have: draft.definition.len(), most: caps.definition }));
    }
    let played = "SELECT version FROM personas WHERE server = $1 AND id = $2";
    let played = sqlx::query(played).bind(server).bind(&draft.id.0).fetch_optional(&mut **writing).await?;
    let played = played.map(|row| row.try_get::<i64, _>("version")).transpose()?;
    match (played.map(i64::cast_unsigned), draft.over) {
        (Some(_), None) => return Ok(Some(Saved::Taken)),
        (played, Some(_)) => return Ok((played != draft.over).then_some(Saved::Changed)),
        (None, None) => {}
    }
    let all = "SELECT COUNT(*) AS number FROM personas WHERE server = $1";
    if number(writing, all, server).await? >= caps.personas {
        return Ok(Some(Saved::TooManyPersonas { most: caps.personas }));
    }
    let theirs = "SELECT COUNT(*) AS number FROM personas WHERE server = $1 AND creator = $2";
    let theirs = sqlx::query(theirs).bind(server).bind(author).fetch_one(&mut **writing).await?;
    let theirs = usize::try_from(theirs.try_get::<i64, _>("number")?).unwrap_or(usize::MAX);
    Ok((theirs >= caps.of_member).then_some(Saved::TooManyOfTheirs { most: caps.of_member }))
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
        shared: row.try_get::<i64, _>("shared")? != 0,
        adult: row.try_get::<Option<i64>, _>("adult")?.map(|adult| adult != 0),
        adult_by_admin: row.try_get::<i64, _>("adult_by_admin")? != 0,
        from_file: row.try_get::<i64, _>("from_file")? != 0,
    })
}

fn playable(row: &SqliteRow) -> Result<Playable, sqlx::Error> {
    let (definition, avatar) = (row.try_get("definition")?, row.try_get("avatar")?);
    Ok(Playable { persona: persona(row)?, definition, avatar })
}

fn chosen(row: &SqliteRow) -> Result<ChosenAlone, sqlx::Error> {
    Ok(ChosenAlone {
        channel: ChannelId(row.try_get::<i64, _>("channel")?.cast_unsigned()),
        member: MemberId(row.try_get::<i64, _>("member")?.cast_unsigned()),
        server: server(row)?,
        persona: PersonaId(row.try_get("persona")?),
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

    fn decided(at: u64, by: MemberId) -> Decision {
        Decision { at, member: Some(by), what: "saved".to_owned(), about: "a persona".to_owned() }
    }

    fn draft(name: &str, over: Option<u64>, definition: &str) -> PersonaDraft {
        let definition = definition.to_owned();
        let (shared, adult, from_file) = (false, None, false);
        PersonaDraft { id: id(name), over, definition, avatar: None, shared, adult, from_file }
    }

    /// The version that is played, if there is such a persona.
    async fn version_of(store: &Store, server: ServerId, name: &str) -> Option<u64> {
        personas(store, server)
            .await
            .iter()
            .find(|persona| persona.id.0 == name)
            .map(|persona| persona.version)
    }

    /// Bob saves a persona over the version that is played.
    async fn save(store: &Store, server: ServerId, name: &str, definition: &str, caps: Caps) -> Saved {
        let draft = draft(name, version_of(store, server, name).await, definition);
        store.save_persona(server, &draft, caps, &decided(7, BOB)).await.expect("it is written")
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
        let all = store.playable_personas_of(server).await.expect("they are read");
        all.into_iter().find(|playable| playable.persona.id.0 == name).map(|playable| playable.definition)
    }

    /// Deletes it as it is played.
    async fn delete(store: &Store, server: ServerId, name: &str) -> bool {
        let there = personas(store, server).await.into_iter().find(|persona| persona.id.0 == name);
        let version = there.map_or(1, |there| there.version);
        store.delete_persona(server, &id(name), version, &decided(9, BOB)).await.expect("it is written")
    }

    async fn play(store: &Store, server: ServerId, name: &str, version: u64) -> bool {
        store.play_version(server, &id(name), version, &decided(8, BOB)).await.expect("it is written")
    }

    #[tokio::test]
    async fn every_change_is_a_version_and_the_newest_is_played() {
        let directory = directory();
        let store = open(&directory).await;
        assert_eq!(personas(&store, SERVER).await, []);
        assert_eq!(played(&store, SERVER, "ada").await, None);
        let first = draft("ada", None, "one");
        let first = store.save_persona(SERVER, &first, Caps::default(), &decided(u64::MAX, ANN)).await;
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
        let creator_stays = ServerPersona {
            id: id("ada"),
            creator: Some(ANN),
            version: 2,
            shared: false,
            adult: None,
            adult_by_admin: false,
            from_file: false,
        };
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
        assert!(delete(&store, SERVER, "eve").await);
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
        // Nor may a single one be longer than it may be, whatever room there is.
        let short = Caps { definition: 3, ..caps };
        assert_eq!(save(&store, OTHER, "ada", "four", short).await, Saved::TooLong { have: 4, most: 3 });
        assert_eq!(personas(&store, OTHER).await, []);
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
        assert!(delete(&store, SERVER, "ada").await);
        assert!(!delete(&store, SERVER, "ada").await);
        assert_eq!(versions(&store, SERVER, "ada").await, []);
        assert_eq!(played(&store, SERVER, "ada").await, None);
        assert_eq!(numbers(&store, "eve").await, [1]);
        // Nothing that was made for the one that is gone means this one.
        assert_eq!(save(&store, SERVER, "ada", "anew", Caps::default()).await, Saved::Version(3));
        let stale = store.delete_persona(SERVER, &id("ada"), 2, &decided(9, BOB)).await;
        assert!(!stale.expect("it is looked at"));
        assert!(delete(&store, SERVER, "ada").await);
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
        assert!(!delete(&store, OTHER, "ada").await);
        assert_eq!(save(&store, OTHER, "ada", "theirs", Caps::default()).await, Saved::Version(1));
        assert_eq!(played(&store, OTHER, "ada").await.as_deref(), Some("theirs"));
        assert_eq!(played(&store, SERVER, "ada").await.as_deref(), Some("two"));
        assert!(delete(&store, OTHER, "ada").await);
        assert_eq!(numbers(&store, "ada").await, [2, 1]);
    }

    #[tokio::test]
    async fn what_was_made_from_another_version_is_not_saved() {
        let directory = directory();
        let store = open(&directory).await;
        for definition in ["one", "two"] {
            let _ = save(&store, SERVER, "ada", definition, Caps::default()).await;
        }
        let lines = store.decisions(SERVER, 10).await.expect("they are read").len();
        for (over, expected) in [(None, Saved::Taken), (Some(1), Saved::Changed), (Some(3), Saved::Changed)] {
            let late = draft("ada", over, "late");
            let saved = store.save_persona(SERVER, &late, Caps::default(), &decided(7, BOB)).await;
            assert_eq!(saved.expect("it is read"), expected);
        }
        let gone = draft("eve", Some(1), "late");
        let saved = store.save_persona(SERVER, &gone, Caps::default(), &decided(7, BOB)).await;
        assert_eq!(saved.expect("it is read"), Saved::Changed);
        assert_eq!(played(&store, SERVER, "ada").await.as_deref(), Some("two"));
        assert_eq!(lines, 2);
        assert_eq!(store.decisions(SERVER, 10).await.expect("they are read").len(), lines);
    }

    #[tokio::test]
    async fn a_member_makes_no_more_than_their_share() {
        let directory = directory();
        let store = open(&directory).await;
        let caps = Caps { of_member: 1, ..Caps::default() };
        assert_eq!(save(&store, SERVER, "ada", "one", caps).await, Saved::Version(1));
        assert_eq!(save(&store, SERVER, "eve", "one", caps).await, Saved::TooManyOfTheirs { most: 1 });
        // What is theirs may change, others have their own share, and so have other servers.
        assert_eq!(save(&store, SERVER, "ada", "two", caps).await, Saved::Version(2));
        assert_eq!(save(&store, OTHER, "eve", "one", caps).await, Saved::Version(1));
        let hers = draft("eve", None, "one");
        let saved = store.save_persona(SERVER, &hers, caps, &decided(7, ANN)).await;
        assert_eq!(saved.expect("it is written"), Saved::Version(1));
    }

    #[tokio::test]
    async fn what_is_said_of_a_persona_stays_and_stands_in_the_audit_list() {
        let directory = directory();
        let store = open(&directory).await;
        let _ = save(&store, SERVER, "ada", "one", Caps::default()).await;
        let picture = vec![1, 2, 3];
        for mark in [Mark::Adult(false), Mark::Shared(true), Mark::Avatar(Some(picture.clone()))] {
            let marked = store.mark_persona(SERVER, &id("ada"), &mark, false, &decided(8, ANN)).await;
            assert!(marked.expect("it is written"));
            let nobody = store.mark_persona(OTHER, &id("ada"), &mark, false, &decided(8, ANN)).await;
            assert!(!nobody.expect("it is read"), "another server's persona is not found");
        }
        // A new version leaves them as they are.
        let _ = save(&store, SERVER, "ada", "two", Caps::default()).await;
        let all = store.playable_personas_of(SERVER).await.expect("they are read");
        assert_eq!((all[0].persona.adult, all[0].persona.shared), (Some(false), true));
        assert_eq!(all[0].avatar, Some(picture));
        // But of a file nobody has said that it is not for adults.
        let file = PersonaDraft { from_file: true, ..draft("ada", Some(2), "three") };
        let saved = store.save_persona(SERVER, &file, Caps::default(), &decided(7, BOB)).await;
        assert_eq!(saved.expect("it is written"), Saved::Version(3));
        assert_eq!(personas(&store, SERVER).await[0].adult, None);
        let mark = Mark::Avatar(None);
        assert!(
            store
                .mark_persona(SERVER, &id("ada"), &mark, false, &decided(8, ANN))
                .await
                .expect("it is written")
        );
        assert_eq!(store.playable_personas_of(SERVER).await.expect("they are read")[0].avatar, None);
        assert_eq!(store.decisions(SERVER, 10).await.expect("they are read").len(), 7);
        assert_eq!(store.decisions(OTHER, 10).await.expect("they are read"), []);
    }

    /// Whether saying it has changed something.
    async fn rate(store: &Store, adult: bool, by_admin: bool) -> bool {
        let mark = Mark::Adult(adult);
        store
            .mark_persona(SERVER, &id("ada"), &mark, by_admin, &decided(8, ANN))
            .await
            .expect("it is written")
    }

    #[tokio::test]
    async fn what_an_admin_has_said_only_an_admin_takes_back() {
        let directory = directory();
        let store = open(&directory).await;
        let _ = save(&store, SERVER, "ada", "one", Caps::default()).await;
        for (adult, by_admin, has_changed, kept) in [
            (true, false, true, true),
            (true, false, false, true),
            // Its creator has said it, and may take it back.
            (false, false, true, false),
            (false, true, false, false),
            (true, false, true, true),
            // It is another thing when an admin says it too.
            (true, true, true, true),
            (true, true, false, true),
            (true, false, false, true),
            (false, false, false, true),
            (false, true, true, false),
            (true, false, true, true),
            (false, false, true, false),
        ] {
            assert_eq!(rate(&store, adult, by_admin).await, has_changed, "{adult} by admin {by_admin}");
            assert_eq!(personas(&store, SERVER).await[0].adult, Some(kept), "{adult} by admin {by_admin}");
        }
        let share = Mark::Shared(true);
        for has_changed in [true, false] {
            let shared = store.mark_persona(SERVER, &id("ada"), &share, true, &decided(8, ANN)).await;
            assert_eq!(shared.expect("it is written"), has_changed);
        }
        // What changes nothing is not in the audit list.
        assert_eq!(store.decisions(SERVER, 100).await.expect("they are read").len(), 9);
    }

    #[tokio::test]
    async fn of_what_came_from_a_file_an_admin_says_that_it_is_not_for_adults() {
        let directory = directory();
        let store = open(&directory).await;
        let file = PersonaDraft { from_file: true, ..draft("ada", None, "one") };
        let saved = store.save_persona(SERVER, &file, Caps::default(), &decided(7, BOB)).await;
        assert_eq!(saved.expect("it is written"), Saved::Version(1));
        // A text of a form does not change that: it has what the file had.
        assert_eq!(save(&store, SERVER, "ada", "two", Caps::default()).await, Saved::Version(2));
        assert!(!rate(&store, false, false).await);
        assert_eq!(personas(&store, SERVER).await[0].adult, None);
        assert!(rate(&store, false, true).await);
        // It was said of this version, which may be played again, and of no other one.
        for (version, adult) in [(2, Some(false)), (1, None)] {
            assert!(play(&store, SERVER, "ada", version).await);
            assert_eq!(personas(&store, SERVER).await[0].adult, adult, "version {version}");
        }
        // What is for adults stays so.
        assert!(rate(&store, true, true).await);
        assert!(play(&store, SERVER, "ada", 2).await);
        assert_eq!(personas(&store, SERVER).await[0].adult, Some(true));
        // Where all texts are of forms, it is said of all of them.
        let form = PersonaDraft { adult: Some(false), ..draft("eve", None, "one") };
        let _ = store.save_persona(SERVER, &form, Caps::default(), &decided(7, BOB)).await;
        let _ = save(&store, SERVER, "eve", "two", Caps::default()).await;
        assert!(play(&store, SERVER, "eve", 1).await);
        assert_eq!(personas(&store, SERVER).await[1].adult, Some(false));
    }

    #[tokio::test]
    async fn members_choose_in_their_direct_messages_until_they_are_forgotten() {
        let directory = directory();
        let store = open(&directory).await;
        let choose = |channel, member, server, name: &str| ChosenAlone {
            channel: ChannelId(channel),
            member,
            server,
            persona: id(name),
        };
        let hers = choose(u64::MAX, ANN, Some(SERVER), "ada");
        let his = choose(2, BOB, None, "hermes");
        for chosen in [&choose(2, BOB, Some(OTHER), "ada"), &his, &hers] {
            store.choose_alone(chosen).await.expect("it is written");
        }
        let mut chosen = store.chosen_alone().await.expect("it is read");
        chosen.sort_by_key(|chosen| chosen.member);
        assert_eq!(chosen, [his.clone(), hers]);
        let export = store.export_member(ANN).await.expect("it is read");
        assert_eq!(export["personas_chosen"][0]["persona"], "ada");
        store.forget_member(ANN).await.expect("she is forgotten");
        assert_eq!(store.chosen_alone().await.expect("it is read"), [his]);
        store.choose_nobody(ChannelId(2)).await.expect("it is written");
        assert_eq!(store.chosen_alone().await.expect("it is read"), []);
    }
}
