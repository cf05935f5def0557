//! The personas that there are: the shipped ones, and over them those of the operator's directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Persona, PersonaError, PersonaId, shipped};

/// All personas, by id.
#[derive(Debug, Clone, Default)]
pub struct Library {
    personas: BTreeMap<PersonaId, Arc<Persona>>,
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
    /// Two ids differ in case only, and people do not write case.
    #[error("the persona file {} has the same name as {twin} but for capitals; rename it", path.display())]
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
        source: PersonaError,
    },
}

impl Library {
    /// The shipped personas and those of the directory, which add to them and take the place of those with the
    /// same id.
    ///
    /// # Errors
    /// [`LibraryError`] for the first directory or file that cannot be read or makes no sense.
    pub fn load(directory: Option<&Path>) -> Result<Self, LibraryError> {
        let mut library = Self::default();
        for (id, text) in shipped::PERSONAS {
            let persona = Persona::from_toml(id, text)
                .map_err(|source| LibraryError::Persona { path: PathBuf::from(id), source })?;
            library.insert(persona);
        }
        for path in directory.map(toml_files).transpose()?.unwrap_or_default() {
            let persona = load_file(&path)?;
            let same = |id: &PersonaId| id.0.to_lowercase() == persona.id.0.to_lowercase();
            if let Some(twin) = library.personas.keys().find(|&id| *id != persona.id && same(id)) {
                return Err(LibraryError::Twin { twin: twin.0.clone(), path });
            }
            library.insert(persona);
        }
        Ok(library)
    }

    /// Adds a persona, or replaces the one with its id.
    pub fn insert(&mut self, persona: Persona) {
        self.personas.insert(persona.id.clone(), Arc::new(persona));
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

/// Reads one persona file; its id is the stem of the file's name.
///
/// # Errors
/// [`LibraryError`] when the file cannot be read or makes no sense.
pub fn load_file(path: &Path) -> Result<Persona, LibraryError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| LibraryError::File { path: path.to_owned(), source })?;
    let id = path.file_stem().unwrap_or_default().to_string_lossy();
    Persona::from_toml(&id, &text).map_err(|source| LibraryError::Persona { path: path.to_owned(), source })
}

fn toml_files(directory: &Path) -> Result<Vec<PathBuf>, LibraryError> {
    let failed = |source| LibraryError::Directory { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
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
        let mut on_disk: Vec<String> = toml_files(&directory)
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
        std::fs::write(directory.path().join("HERMES.toml"), "name = 'x'\ndescription = 'x'")
            .expect("written");
        let error = Library::load(Some(directory.path())).expect_err("there is hermes").to_string();
        assert!(error.contains("HERMES.toml") && error.contains("rename"), "{error}");
    }

    #[test]
    fn a_broken_file_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("ada.toml"), "name = 3").expect("it can be written");
        let error = Library::load(Some(directory.path())).expect_err("it is broken").to_string();
        assert!(error.contains("ada.toml") && error.contains("line 1"), "{error}");
        let error = Library::load(Some(Path::new("/nowhere"))).expect_err("it is absent").to_string();
        assert!(error.contains("/nowhere") && error.contains("personas.directory"), "{error}");
    }
}
