//! The damage matrix: each kind of object × each kind of harm × each operation of a reader. Whatever happens, a reader
//! gives the right answer or an error that names the damaged object; never another answer, and never a panic.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use repo::{CheckDepth, RepoError, Repository};
use site::{Memory, Site};
use types::ErrorKind;

use crate::world::{Tree, World, check, read};

/// What is done to an object.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// One bit is flipped at so many thousandths of its length.
    Flip(usize),
    /// It is cut to so many thousandths of its length.
    Cut(usize),
    /// It has no bytes any more.
    Empty,
    /// It is gone.
    Gone,
    /// Zeros follow it.
    Longer,
    /// Another object of the same kind lies in its place.
    Swapped,
}

impl Harm {
    fn all() -> impl Iterator<Item = Self> {
        let flips = [0, 5, 50, 300, 700, 950, 990, 998, 999].map(Self::Flip);
        let cuts = [1, 500, 990].map(Self::Cut);
        flips.into_iter().chain(cuts).chain([Self::Empty, Self::Gone, Self::Longer, Self::Swapped])
    }

    /// The bytes afterwards; the outer `None` if the harm does not apply.
    fn inflict(self, name: &str, contents: &BTreeMap<String, Bytes>) -> Option<Option<Bytes>> {
        let bytes = &contents[name];
        let at = |thousandths: usize| bytes.len() * thousandths / 1000;
        Some(match self {
            Self::Flip(place) => {
                let mut changed = bytes.to_vec();
                changed[at(place)] ^= 1 << (place % 8);
                Some(changed.into())
            }
            Self::Cut(place) => Some(bytes.slice(..at(place))),
            Self::Empty => Some(Bytes::new()),
            Self::Gone => None,
            Self::Longer => Some([bytes.as_ref(), &[0; 32]].concat().into()),
            Self::Swapped => {
                let folder = name.rsplit_once('/')?.0;
                let other = contents.keys().find(|other| other.starts_with(folder) && *other != name)?;
                Some(contents[other].clone())
            }
        })
    }
}

/// What a reader does.
#[derive(Clone, Copy, Debug)]
enum Reading {
    Open,
    List,
    First,
    Second,
    CheckStructure,
    CheckBytes,
    CheckBlocks,
}

impl Reading {
    const ALL: [Self; 7] =
        [Self::Open, Self::List, Self::First, Self::Second, Self::CheckStructure, Self::CheckBytes, Self::CheckBlocks];

    /// Does it; the result is what a reader would believe, and the names that errors and findings gave.
    async fn run(self, site: &Site) -> Result<Belief, RepoError> {
        let repository = Repository::open(site, World::passphrase()).await?;
        if matches!(self, Self::Open) {
            return Ok(Belief::Opened(repository.id().to_string(), repository.keys().fingerprint()));
        }
        let repository = repository.list().await?;
        let findings = async |depth| {
            let report = check(&repository, depth).await?;
            for finding in &report.findings {
                let (name, what) = (finding.name(), finding.what());
                assert!(!what.contains(name), "{name}: {what} names it twice");
            }
            Ok(Belief::Findings(report.findings.iter().map(|finding| finding.name().to_owned()).collect()))
        };
        match self {
            Self::Open | Self::List => {
                Ok(Belief::Listed(repository.backups().iter().map(|backup| backup.commit.clone()).collect()))
            }
            Self::First => Ok(Belief::Tree(read(&repository, 1).await?)),
            Self::Second => Ok(Belief::Tree(read(&repository, 2).await?)),
            Self::CheckStructure => findings(CheckDepth::Structure).await,
            Self::CheckBytes => findings(CheckDepth::Bytes).await,
            Self::CheckBlocks => findings(CheckDepth::Blocks).await,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Belief {
    Opened(String, [u8; 32]),
    Listed(Vec<String>),
    Tree(Tree),
    Findings(Vec<String>),
}

#[tokio::test]
async fn every_harm_to_every_object_is_an_error_that_names_it_or_changes_nothing() {
    let (world, _) = World::with_two_backups_of(30, 18, &[0, 1, 4000, 5000, 140_000, 160_000]).await;
    let sound = world.memory.contents();
    let mut expected = vec![];
    for reading in Reading::ALL {
        expected.push(reading.run(&world.site).await.unwrap());
    }
    let (mut refused, mut unchanged) = (0, 0);
    for name in one_of_each_kind(&sound) {
        for harm in Harm::all() {
            let Some(bytes) = harm.inflict(&name, &sound) else { continue };
            let memory = Arc::new(Memory::default());
            sound.iter().for_each(|(name, bytes)| memory.replace(name, Some(bytes.clone())));
            memory.replace(&name, bytes.clone());
            let site = Site::over("memory", memory);
            let mut found = false;
            for (reading, expected) in Reading::ALL.into_iter().zip(&expected) {
                let case = format!("{name} {harm:?} {reading:?}");
                match reading.run(&site).await {
                    Err(RepoError::NoBackup { .. }) if name == newest_commit(&sound) => unchanged += 1,
                    Err(error) => {
                        assert_named(&error, &name, &case);
                        found = true;
                        refused += 1;
                    }
                    Ok(Belief::Findings(names)) if !names.is_empty() => {
                        let folder = format!("{}/", name.split('/').next().unwrap());
                        assert!(names.contains(&name) || names == [folder], "{case}: {names:?}");
                        found = true;
                        refused += 1;
                    }
                    Ok(belief) => {
                        assert!(belief == *expected || is_older(&name, &belief), "{case}: another answer");
                        unchanged += 1;
                    }
                }
            }
            // Space in JSON may change and mean nothing; nobody can know of a newest commit that is gone (Raft does);
            // and the owner is asked for by writers alone.
            let harmless = name.ends_with("json") || name.starts_with("keys/") || name.starts_with("owner/");
            let is_newest = name == newest_commit(&sound) && matches!(harm, Harm::Gone);
            let is_same = bytes.as_ref() == Some(&sound[&name]);
            assert!(
                found || harmless || is_newest || is_same,
                "{name} {harm:?} is found by the deepest check at least"
            );
        }
    }
    println!("{refused} readings refused or told, {unchanged} unchanged");
    assert!(refused > 300, "{refused}");
}

/// A reader of a repository whose newest commit is gone sees the state before it.
fn is_older(name: &str, belief: &Belief) -> bool {
    name.starts_with("commits/") && matches!(belief, Belief::Listed(commits) if commits.len() < 2)
}

fn newest_commit(contents: &BTreeMap<String, Bytes>) -> &str {
    contents.keys().find(|name| name.starts_with("commits/")).unwrap()
}

/// One of each kind; of commits and upload objects, which the two backups have each their own, one of each backup.
fn one_of_each_kind(contents: &BTreeMap<String, Bytes>) -> Vec<String> {
    let first = |prefix: &&str| contents.keys().find(|name| name.starts_with(*prefix)).unwrap().clone();
    let last = |prefix: &&str| contents.keys().rfind(|name| name.starts_with(*prefix)).unwrap().clone();
    let tables = ["tables/inodes", "tables/entries", "tables/extents", "tables/blocks", "tables/objects"];
    let kinds = ["holdfast", "keys", "owner", "commits", "objects", "state"];
    kinds.iter().chain(&tables).map(first).chain(["commits", "objects", "state"].iter().map(last)).collect()
}

fn assert_named(error: &RepoError, name: &str, case: &str) {
    let text = error.to_string();
    let folder = name.split('/').next().unwrap();
    // What is gone is named by its folder where the folder is all that is known of it.
    assert!(text.contains(name) || text.contains(&format!("{folder}/ ")), "{case}: {text}");
    let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::NotFound, ErrorKind::Denied];
    assert!(kinds.contains(&error.kind()), "{case}: {:?} {text}", error.kind());
}
