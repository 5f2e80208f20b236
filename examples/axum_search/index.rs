//! Full-text search by BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009).
//!
//! Every query reads every document anew, without an inverted index: the expensive handler that a cache is for.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;

use crate::corpus::Document;

/// How soon more of a term stops to matter.
const K1: f64 = 1.2;

/// How much a document's length matters.
const B: f64 = 0.75;

/// Terms of a query that count; the rest is ignored.
const MAX_TERMS: usize = 16;

/// Characters of a snippet.
const SNIPPET: usize = 160;

/// A document that matches.
#[derive(Serialize)]
pub(crate) struct Hit {
    id: String,
    score: f64,
    snippet: String,
}

/// The documents, ready to be searched.
pub(crate) struct Index {
    documents: RwLock<Vec<Arc<Document>>>,
    by_id: HashMap<String, usize>,
    digest: String,
    /// One change at a time.
    changing: Mutex<()>,
}

/// What a query's terms do in one document.
struct Matches {
    document: usize,
    /// Tokens in all.
    length: usize,
    /// How often each term is there.
    frequencies: Vec<u32>,
    /// Where the first term stands, bytes.
    first: usize,
}

impl Index {
    pub(crate) fn new(documents: Vec<Document>) -> Self {
        let by_id = documents.iter().enumerate().map(|(at, document)| (document.id.clone(), at)).collect();
        let mut digest = blake3::Hasher::new();
        for Document { id, text, .. } in &documents {
            digest.update(id.as_bytes()).update(blake3::hash(text.as_bytes()).as_bytes());
        }
        let digest = digest.finalize().to_hex().chars().take(16).collect();
        let documents = RwLock::new(documents.into_iter().map(Arc::new).collect());
        Self { documents, by_id, digest, changing: Mutex::new(()) }
    }

    /// Names the corpus: the same documents, the same digest.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// A document as it is on disk now.
    pub(crate) fn document(&self, id: &str) -> Option<Arc<Document>> {
        self.newest(*self.by_id.get(id)?)
    }

    /// Gives a document another text. `None`: there is no such document.
    pub(crate) fn change(&self, id: &str, text: &str) -> Option<io::Result<()>> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        Some(self.document(id)?.write(text))
    }

    fn all(&self) -> Vec<Arc<Document>> {
        self.documents.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The document at a place, read again.
    fn newest(&self, at: usize) -> Option<Arc<Document>> {
        let known = self.all().get(at).cloned()?;
        let newest = Arc::new(known.read_again().ok()?);
        let mut documents = self.documents.write().unwrap_or_else(PoisonError::into_inner);
        *documents.get_mut(at)? = Arc::clone(&newest);
        Some(newest)
    }

    /// All documents. One that seems to have changed is read again, one that is gone is left out.
    fn current(&self) -> Vec<Arc<Document>> {
        let known = self.all().into_iter().enumerate();
        known
            .filter_map(|(at, document)| if document.is_current() { Some(document) } else { self.newest(at) })
            .collect()
    }

    /// The best `limit` documents for `query`, best first; equally good ones in the order of their ids.
    pub(crate) fn search(&self, query: &str, limit: usize) -> Vec<Hit> {
        let terms = terms(query);
        let documents = self.current();
        let scanned: Vec<_> =
            documents.iter().enumerate().map(|(at, document)| scan(at, &document.text, &terms)).collect();
        let count = scanned.len() as f64;
        let average = scanned.iter().map(|matches| matches.length as f64).sum::<f64>() / count.max(1.0);
        let weights: Vec<f64> = (0..terms.len())
            .map(|term| {
                let with =
                    scanned.iter().filter(|m| m.frequencies.get(term).is_some_and(|n| *n > 0)).count() as f64;
                ((count - with + 0.5) / (with + 0.5)).ln_1p()
            })
            .collect();

        let mut ranked: Vec<_> = scanned
            .iter()
            .map(|matches| (score(matches, &weights, average), matches))
            .filter(|(score, _)| *score > 0.0)
            .filter_map(|(score, matches)| Some((score, matches, documents.get(matches.document)?)))
            .collect();
        ranked.sort_by(|(a, _, left), (b, _, right)| match b.total_cmp(a) {
            Ordering::Equal => left.id.cmp(&right.id),
            order => order,
        });
        ranked
            .into_iter()
            .take(limit)
            .map(|(score, matches, document)| Hit {
                id: document.id.clone(),
                score: (score * 1e4).round() / 1e4,
                snippet: snippet(&document.text, matches.first),
            })
            .collect()
    }
}

/// The words of a text.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|token| !token.is_empty())
}

/// The different words of a query, in lower case.
fn terms(query: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for term in tokens(query).map(str::to_lowercase) {
        if !terms.contains(&term) && terms.len() < MAX_TERMS {
            terms.push(term);
        }
    }
    terms
}

fn same(token: &str, term: &str) -> bool {
    if token.is_ascii() { token.eq_ignore_ascii_case(term) } else { token.to_lowercase() == term }
}

fn scan(document: usize, text: &str, terms: &[String]) -> Matches {
    let mut matches = Matches { document, length: 0, frequencies: vec![0; terms.len()], first: text.len() };
    for token in tokens(text) {
        matches.length += 1;
        for (term, frequency) in terms.iter().zip(&mut matches.frequencies) {
            if same(token, term) {
                *frequency += 1;
                // Both point into the text.
                matches.first = matches.first.min(token.as_ptr().addr() - text.as_ptr().addr());
            }
        }
    }
    matches
}

fn score(matches: &Matches, weights: &[f64], average: f64) -> f64 {
    let length = 1.0 - B + B * matches.length as f64 / average.max(1.0);
    let part = |(weight, frequency): (&f64, &u32)| {
        let frequency = f64::from(*frequency);
        weight * frequency * (K1 + 1.0) / (frequency + K1 * length)
    };
    weights.iter().zip(&matches.frequencies).map(part).sum()
}

/// The text around `at`, in one line, from the start of a word.
fn snippet(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let earliest = before.char_indices().rev().nth(SNIPPET / 4).map_or(0, |(at, _)| at);
    let cut = before.get(earliest..).and_then(|lead| lead.find(char::is_whitespace)).filter(|_| earliest > 0);
    let around = text.get(earliest + cut.unwrap_or(0)..).unwrap_or_default();
    let around: String = around.chars().take(SNIPPET).collect();
    around.split_whitespace().collect::<Vec<_>>().join(" ")
}
