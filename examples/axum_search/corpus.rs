//! The documents: text files, the same ones in the same order every time. What is in them may change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

/// Files at most.
const MAX_FILES: usize = 8192;

/// Bytes in all, at most.
const MAX_BYTES: u64 = 32 << 20;

/// A longer file isn't read.
pub(crate) const MAX_FILE: u64 = 256 << 10;

/// Directories inside directories, at most.
const MAX_DEPTH: usize = 12;

/// A text file.
#[derive(Serialize)]
pub(crate) struct Document {
    /// From its path inside the corpus, so that replicas agree on it.
    pub(crate) id: String,
    /// Its path inside the corpus.
    pub(crate) path: String,
    pub(crate) text: String,
    #[serde(skip)]
    file: PathBuf,
    #[serde(skip)]
    read: Edition,
}

/// What tells one content of a file from the next, without reading it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Edition {
    modified: Option<SystemTime>,
    length: u64,
}

impl Edition {
    fn of(file: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(file)?;
        Ok(Self { modified: metadata.modified().ok(), length: metadata.len() })
    }
}

impl Document {
    /// Whether the file seems to be what was read. Another replica may have changed it.
    pub(crate) fn is_current(&self) -> bool {
        Edition::of(&self.file).is_ok_and(|edition| edition == self.read)
    }

    /// The document as it is now.
    pub(crate) fn read_again(&self) -> io::Result<Self> {
        let Self { id, path, file, .. } = self;
        // First, so that a change meanwhile is noticed the next time.
        let read = Edition::of(file)?;
        let text = fs::read_to_string(file)?;
        Ok(Self { id: id.clone(), path: path.clone(), text, file: file.clone(), read })
    }

    /// Writes another text, so that whoever reads meanwhile reads the one or the other.
    pub(crate) fn write(&self, text: &str) -> io::Result<()> {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let draft = self.file.with_file_name(format!(".{name}.{}", std::process::id()));
        fs::write(&draft, text)?;
        fs::rename(&draft, &self.file)
    }
}

/// The text files of a directory.
pub(crate) fn of_directory(root: &Path) -> io::Result<Vec<Document>> {
    if !root.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{} isn't a directory", root.display()),
        ));
    }
    let mut corpus = Corpus { documents: Vec::new(), bytes: 0, wanted: |_| true };
    corpus.walk(root, root, 0);
    corpus.finish()
}

/// What every machine has that can build this: the crate's own files and the sources in Cargo's registry.
pub(crate) fn default() -> io::Result<Vec<Document>> {
    let wanted =
        |path: &Path| path.extension().is_some_and(|extension| extension == "rs" || extension == "md");
    let mut corpus = Corpus { documents: Vec::new(), bytes: 0, wanted };
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    corpus.walk(own, own, 0);
    if let Some(registry) = registry() {
        corpus.walk(&registry, &registry, 0);
    }
    corpus.finish()
}

fn registry() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))?;
    Some(home.join("registry/src"))
}

struct Corpus {
    documents: Vec<Document>,
    bytes: u64,
    wanted: fn(&Path) -> bool,
}

impl Corpus {
    /// Takes what is readable text, in the order of the names. What can't be read isn't part of the corpus.
    fn walk(&mut self, root: &Path, directory: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else { continue };
            if name.to_string_lossy().starts_with('.') || name == "target" {
                continue;
            }
            // A link is neither: links may lead out of the directory, or around in it.
            if kind.is_dir() && depth < MAX_DEPTH {
                self.walk(root, &entry.path(), depth + 1);
            } else if kind.is_file() && (self.wanted)(&entry.path()) {
                self.read(root, &entry);
            }
            if self.documents.len() >= MAX_FILES || self.bytes >= MAX_BYTES {
                return;
            }
        }
    }

    fn read(&mut self, root: &Path, entry: &fs::DirEntry) {
        let length = entry.metadata().map_or(0, |metadata| metadata.len());
        if length == 0 || length > MAX_FILE.min(MAX_BYTES - self.bytes) {
            return;
        }
        let file = entry.path();
        let Ok(read) = Edition::of(&file) else { return };
        let Ok(text) = fs::read_to_string(&file) else { return };
        if text.contains('\0') {
            return;
        }
        let path = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let id: String = blake3::hash(path.as_bytes()).to_hex().chars().take(16).collect();
        self.bytes += length;
        self.documents.push(Document { id, path, text, file, read });
    }

    fn finish(self) -> io::Result<Vec<Document>> {
        if self.documents.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no text files to search"));
        }
        Ok(self.documents)
    }
}
