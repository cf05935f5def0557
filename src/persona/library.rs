//! The personas that there are: the shipped ones, and over them those of the operator's directory.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::import::{self, ImportError, Imported, LARGEST_FILE};
use super::lorebook::Lorebook;
use super::{Persona, PersonaId, picture, shipped};

/// All personas, by id.
#[derive(Debug, Clone, Default)]
pub struct Library {
    personas: BTreeMap<PersonaId, Arc<Persona>>,
    remarks: Vec<String>,
    directory: Option<PathBuf>,
    /// The directory's files as they were when they were read.
    files: BTreeMap<PathBuf, File>,
    /// What was complained of last, so that it is said once.
    complaint: Option<String>,
}

/// A file of the directory: whose it is, and by what one sees that it has changed.
#[derive(Debug, Clone, PartialEq)]
struct File {
    /// None for a file that was refused, whose id is another's.
    id: Option<PersonaId>,
    seen: Vec<(Option<SystemTime>, u64)>,
}

/// What is new in a directory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// The personas that are new, or are others than before.
    pub personas: Vec<Arc<Persona>>,
    /// Those whose file is gone.
    pub gone: Vec<PersonaId>,
    /// Sentences about what could not be read, and what was read and will not be as its author meant.
    pub complaints: Vec<String>,
}

/// Personas that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The directory cannot be listed.
    #[error("the persona directory {} cannot be read ({source}); check personas.directory", path.display())]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("the persona file {} cannot be read ({source}); check its path and permissions", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Two files have the same id, or differ in case only, and people do not write case.
    #[error("the persona file {} has the same name as {twin}; rename it", path.display())]
    Twin {
        /// Which file.
        path: PathBuf,
        /// The id that was there.
        twin: String,
    },
    /// A file makes no sense.
    #[error("the persona file {} has a mistake: {source}", path.display())]
    Persona {
        /// Which file.
        path: PathBuf,
        /// Which mistake.
        source: ImportError,
    },
}

impl Library {
    /// The shipped personas and those of the directory, which add to them and take the place of those with the
    /// same id.
    ///
    /// A file that cannot be read, or makes no sense, is left out, and [`Library::remarks`] says so.
    ///
    /// # Errors
    /// [`LibraryError`] when the directory cannot be read.
    pub fn load(directory: Option<&Path>) -> Result<Self, LibraryError> {
        let directory = directory.map(Path::to_owned);
        let mut library = Self { directory, ..Self::default() };
        for (id, text) in shipped::PERSONAS {
            library.insert(shipped_persona(id, text)?);
        }
        for path in library.listed()? {
            if let Err(error) = library.take(&path) {
                library.remarks.push(format!("{error}; the others are there"));
            }
        }
        Ok(library)
    }

    /// Reads again what has changed in the directory. A file that is broken now keeps its last good version.
    pub fn refresh(&mut self) -> Changes {
        let mut changes = Changes::default();
        let remarks = self.remarks.len();
        let listed = match self.listed() {
            Ok(listed) => listed,
            Err(error) => {
                let complaint = error.to_string();
                if self.complaint.as_ref() != Some(&complaint) {
                    changes.complaints.push(complaint.clone());
                    self.complaint = Some(complaint);
                }
                return changes;
            }
        };
        self.complaint = None;
        let gone: Vec<PathBuf> = self.files.keys().filter(|path| !listed.contains(path)).cloned().collect();
        if !gone.is_empty() {
            // Whoever was refused for the sake of one of these has another try.
            self.files.retain(|_, file| file.id.is_some());
        }
        for path in gone {
            match self.lose(&path) {
                Some(Ok(shipped)) => changes.personas.push(shipped),
                Some(Err(id)) => changes.gone.push(id),
                None => {}
            }
        }
        for path in listed {
            if self.files.get(&path).is_some_and(|file| file.seen == seen(&path)) {
                continue;
            }
            match self.take(&path) {
                Ok(persona) => changes.personas.push(persona),
                Err(error) if self.personas.contains_key(&id_of(&path)) => {
                    changes.complaints.push(format!("{error}; its last good version stays"));
                }
                Err(error) => changes.complaints.push(error.to_string()),
            }
        }
        changes.complaints.extend(self.remarks.drain(remarks..));
        changes
    }

    /// Whether there are files that may change.
    #[must_use]
    pub fn has_directory(&self) -> bool {
        self.directory.is_some()
    }

    /// The files of the directory, if there is one.
    fn listed(&self) -> Result<Vec<PathBuf>, LibraryError> {
        self.directory.as_deref().map(persona_files).transpose().map(Option::unwrap_or_default)
    }

    /// Reads a file of the directory.
    fn take(&mut self, path: &Path) -> Result<Arc<Persona>, LibraryError> {
        let id = id_of(path);
        let folded = id.0.to_lowercase();
        let has_it = |file: &File| file.id.as_ref().is_some_and(|id| id.0.to_lowercase() == folded);
        // What is written while it is read is read again.
        let seen = seen(path);
        let other_file = self.files.iter().find(|(other, file)| other.as_path() != path && has_it(file));
        let other_file =
            other_file.map(|(other, _)| other.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let other_case = shipped::PERSONAS.iter().find(|(shipped, _)| *shipped != id.0 && *shipped == folded);
        let twin = other_file.or_else(|| other_case.map(|(shipped, _)| (*shipped).to_owned()));
        let id = twin.is_none().then_some(id);
        self.files.insert(path.to_owned(), File { id, seen });
        if let Some(twin) = twin {
            return Err(LibraryError::Twin { path: path.to_owned(), twin });
        }
        let (persona, remarks) = load_file(path)?;
        let remarks = remarks.iter().map(|remark| format!("the persona file {}: {remark}", path.display()));
        self.remarks.extend(remarks);
        Ok(self.insert(persona))
    }

    /// A file is gone: where it had taken the place of a shipped persona, that one comes back, else the persona is gone too.
    fn lose(&mut self, path: &Path) -> Option<Result<Arc<Persona>, PersonaId>> {
        let id = self.files.remove(path)?.id?;
        self.personas.remove(&id)?;
        let shipped = shipped::PERSONAS.iter().find(|(shipped, _)| *shipped == id.0);
        let shipped = shipped.and_then(|(id, text)| shipped_persona(id, text).ok());
        Some(shipped.map(|persona| self.insert(persona)).ok_or(id))
    }

    /// Adds a persona, or replaces the one with its id.
    fn insert(&mut self, persona: Persona) -> Arc<Persona> {
        let persona = Arc::new(persona);
        self.personas.insert(persona.id.clone(), Arc::clone(&persona));
        persona
    }

    /// What of the directory's personas will not be as their authors meant.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// All personas, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Persona>> {
        self.personas.values()
    }

    /// Looks a persona up by its id, else by name, else by alias, whatever the case.
    #[must_use]
    pub fn find(&self, wanted: &str) -> Option<&Arc<Persona>> {
        let wanted = wanted.trim().to_lowercase();
        let same = |name: &str| name.trim().to_lowercase() == wanted;
        self.personas
            .values()
            .find(|persona| same(&persona.id.0))
            .or_else(|| self.personas.values().find(|persona| same(&persona.card.name)))
            .or_else(|| self.personas.values().find(|p| p.card.aliases.iter().any(|alias| same(alias))))
    }
}

/// Reads one persona file of whatever form, and says what of it will not be as its author meant; its id is the stem of
/// the file's name. A picture beside a TOML file of the same name is its avatar.
///
/// # Errors
/// [`LibraryError`] when the file cannot be read or makes no sense.
pub fn load_file(path: &Path) -> Result<(Persona, Vec<String>), LibraryError> {
    let (mut persona, mut remarks) = Persona::from_file(&id_of(path).0, &read(path)?)
        .map_err(|source| LibraryError::Persona { path: path.to_owned(), source })?;
    let avatar = path.with_extension("png");
    if has_extension(path, &["toml"]) && avatar.is_file() {
        let bytes = read(&avatar)?;
        if picture::is_png(&bytes) {
            persona.avatar = Some(Arc::from(bytes));
        } else {
            remarks.push(format!("{} is no PNG picture, and is not shown", avatar.display()));
        }
    }
    Ok((persona, remarks))
}

/// Reads a lorebook that belongs to no persona: a V3 lorebook, or a world file of `SillyTavern`.
///
/// # Errors
/// [`LibraryError`] when the file cannot be read, or is none.
pub fn load_lorebook(path: &Path) -> Result<Lorebook, LibraryError> {
    let failed = |source| LibraryError::Persona { path: path.to_owned(), source };
    match import::import(&read(path)?).map_err(failed)? {
        Imported::Lorebook(book) => Ok(book),
        Imported::Persona { card, .. } => card.lorebook.ok_or(ImportError::NoLore).map_err(failed),
    }
}

fn shipped_persona(id: &str, text: &str) -> Result<Persona, LibraryError> {
    Persona::from_toml(id, text).map_err(|source| LibraryError::Persona { path: PathBuf::from(id), source })
}

/// The id of the persona in a file.
fn id_of(path: &Path) -> PersonaId {
    PersonaId(path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
}

/// When a persona file, and the picture that may stand beside it, was changed, and how large it is.
fn seen(path: &Path) -> Vec<(Option<SystemTime>, u64)> {
    let files = [path.to_owned(), path.with_extension("png")];
    let known = files.iter().filter_map(|path| std::fs::metadata(path).ok());
    known.map(|file| (file.modified().ok(), file.len())).collect()
}

/// The bytes of a file; of one that is too large no more than show it.
fn read(path: &Path) -> Result<Vec<u8>, LibraryError> {
    let failed = |source| LibraryError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LARGEST_FILE as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// How the names of persona files end. What they are is told from their content.
pub const EXTENSIONS: [&str; 4] = ["toml", "json", "png", "charx"];

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    extensions.contains(&extension.as_str())
}

/// The persona files of a directory, sorted. A picture beside a TOML file of the same name is none.
fn persona_files(directory: &Path) -> Result<Vec<PathBuf>, LibraryError> {
    let failed = |source| LibraryError::Directory { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_avatar = has_extension(&path, &["png"]) && path.with_extension("toml").is_file();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Editors and systems leave hidden files of their own.
        let is_hidden = name.starts_with('.');
        if has_extension(&path, &EXTENSIONS) && !is_avatar && !is_hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_persona_is_a_file_and_parses() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("personas");
        let mut on_disk: Vec<String> = persona_files(&directory)
            .expect("the directory is there")
            .iter()
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        on_disk.sort();
        let library = Library::load(None).expect("they parse");
        let embedded: Vec<String> = library.iter().map(|persona| persona.id.0.clone()).collect();
        assert_eq!(embedded, on_disk);
    }

    #[test]
    fn the_directory_adds_and_overrides() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("it can be written");
        };
        write("hermes.toml", "name = 'Other Hermes'\ndescription = 'x'\n");
        write("ada.toml", "name = 'Ada'\ndescription = 'x'\naliases = ['Countess']\n");
        write("notes.txt", "not a persona");
        let library = Library::load(Some(directory.path())).expect("they parse");
        let name = |wanted: &str| library.find(wanted).map(|persona| persona.card.name.clone());
        assert_eq!(name("hermes").as_deref(), Some("Other Hermes"));
        assert_eq!(name("ADA").as_deref(), Some("Ada"));
        assert_eq!(name("countess").as_deref(), Some("Ada"));
        assert_eq!(name("nobody"), None);
    }

    #[test]
    fn ids_that_differ_in_capitals_only_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("written");
        };
        let remarks = || Library::load(Some(directory.path())).expect("the others load").remarks().join("\n");
        write("HERMES.toml", "name = 'x'\ndescription = 'x'");
        assert!(remarks().contains("HERMES.toml") && remarks().contains("rename"), "{}", remarks());
        write("ada.toml", "name = 'x'\ndescription = 'x'");
        write("Ada.json", r#"{"name": "x", "description": "x"}"#);
        assert!(remarks().contains("ada.toml") && remarks().contains("Ada.json"), "{}", remarks());
    }

    #[test]
    fn what_changes_is_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("it can be written");
        };
        write("ada.toml", "name = 'Ada'\ndescription = 'x'\n");
        write("hermes.toml", "name = 'Other Hermes'\ndescription = 'x'\n");
        let mut library = Library::load(Some(directory.path())).expect("they parse");
        let names = |changes: &Changes| -> Vec<String> {
            changes.personas.iter().map(|persona| persona.card.name.clone()).collect()
        };
        assert_eq!(library.refresh(), Changes::default(), "nothing has changed");

        write("ada.toml", "name = 'Ada Lovelace'\ndescription = 'x'\n");
        write("eve.json", r#"{"name": "Eve", "description": "x"}"#);
        assert_eq!(names(&library.refresh()), ["Ada Lovelace", "Eve"]);

        write("ADA.toml", "name = 'Another'\ndescription = 'x'\n");
        assert!(library.refresh().complaints[0].contains("ADA.toml"));
        assert_eq!(library.refresh(), Changes::default(), "it is said once");
        std::fs::remove_file(directory.path().join("ADA.toml")).expect("it is there");
        assert_eq!(library.refresh(), Changes::default());

        write("ada.toml", "name = 'Ada L");
        let changes = library.refresh();
        assert!(changes.personas.is_empty() && changes.complaints[0].contains("ada.toml"), "{changes:?}");
        assert!(changes.complaints[0].contains("last good version"), "{changes:?}");
        assert_eq!(library.refresh(), Changes::default(), "it is said once");
        assert_eq!(library.find("ada").expect("it stays").card.name, "Ada Lovelace");

        for name in ["hermes.toml", "eve.json"] {
            std::fs::remove_file(directory.path().join(name)).expect("it is there");
        }
        let changes = library.refresh();
        assert_eq!(names(&changes), ["Hermes"], "the shipped one comes back");
        assert_eq!(changes.gone, [PersonaId("eve".to_owned())]);
        assert!(library.find("eve").is_none());

        directory.close().expect("it goes");
        assert_eq!(library.refresh().complaints.len(), 1);
        assert_eq!(library.refresh(), Changes::default(), "that is said once too");
        assert!(library.find("ada").is_some());
    }

    #[test]
    fn a_broken_file_is_named_and_the_others_are_there() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in
            [("ada.toml", "name = 3"), ("eve.toml", "name = 'Eve'\ndescription = 'x'"), (".#eve.toml", "x")]
        {
            std::fs::write(directory.path().join(name), text).expect("it can be written");
        }
        std::fs::create_dir(directory.path().join("folder.json")).expect("it can be made");
        let library = Library::load(Some(directory.path())).expect("the others load");
        let [remark] = library.remarks() else { panic!("{:?}", library.remarks()) };
        assert!(remark.contains("ada.toml") && remark.contains("line 1"), "{remark}");
        assert!(library.find("eve").is_some() && library.find("hermes").is_some());
        let error = Library::load(Some(Path::new("/nowhere"))).expect_err("it is absent").to_string();
        assert!(error.contains("/nowhere") && error.contains("personas.directory"), "{error}");
    }
}
