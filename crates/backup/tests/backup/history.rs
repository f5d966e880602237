//! Random histories: after each round of changes a backup is taken, and in the end every one of them comes back.

use std::collections::BTreeMap;

use runtime::Seed;
use types::{
    Append, AttributeChanges, Change, Content, FileKind, Job, Lin, Name, Operation, Removal, Rename, RenameMode,
};

use crate::cluster::Cluster;
use crate::tree::{Tree, assert_same, lins, of_cluster, restored, small};

const ROUNDS: usize = 5;
const CHANGES: usize = 60;

/// A directory or a name that exists.
#[derive(Clone, Debug)]
struct Place {
    parent: Lin,
    name: Name,
    lin: Lin,
    kind: FileKind,
}

struct History {
    cluster: Cluster,
    seed: Seed,
    data: Lin,
    counter: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_backup_of_a_random_history_comes_back() {
    let number = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
    let number = number.unwrap_or_else(|| Seed::from_os().u64());
    println!("HOLDFAST_SEED={number}");
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    cluster.mkdir(Lin::ROOT, "outside");
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    cluster.start_all(small());
    let mut history = History { cluster, seed: Seed::fixed(number), data, counter: 0 };
    let mut backups: Vec<(Job, Tree)> = Vec::new();
    for _ in 0..ROUNDS {
        for _ in 0..CHANGES {
            history.change().await;
        }
        let job = history.cluster.back_up(&policy).await;
        let view = history.cluster.view();
        backups.push((job, of_cluster(&history.cluster, &view, history.data).await));
    }
    for (job, expected) in &backups {
        assert_same(expected, &restored(&history.cluster, job, "/data").await);
        assert_eq!(job.totals.lins_in_set, lins(expected));
    }
    history.cluster.stop().await;
}

impl History {
    /// Makes a random change; one that the tree refuses changes nothing.
    async fn change(&mut self) {
        let places = self.places();
        let directories: Vec<Lin> = std::iter::once(self.data)
            .chain(places.iter().filter(|place| place.kind == FileKind::Directory).map(|place| place.lin))
            .collect();
        let parent = *self.pick(&directories);
        let place = if places.is_empty() { None } else { Some(self.pick(&places).clone()) };
        let change = match (self.seed.below(14), place) {
            (0 | 1, _) | (_, None) => return self.make_directory(parent),
            (2..=4, _) => return self.make_file(parent).await,
            (5, Some(place)) => self.write(&place).await,
            (6, Some(place)) => {
                let changes = AttributeChanges { size: Some(self.seed.below(900_000)), ..AttributeChanges::default() };
                Change::SetAttributes { lin: place.lin, changes }
            }
            (7, Some(place)) => {
                let mode = Some(0o600 + u32::try_from(self.seed.below(0o177)).unwrap());
                Change::SetAttributes { lin: place.lin, changes: AttributeChanges { mode, ..Default::default() } }
            }
            (8, Some(place)) => Change::Link { lin: place.lin, parent, name: self.name() },
            (9, Some(place)) => {
                let directory = place.kind == FileKind::Directory;
                let expect = if directory { Removal::Directory } else { Removal::NotDirectory };
                Change::Remove { parent: place.parent, name: place.name, expect }
            }
            (10 | 11, Some(place)) => {
                let mut bytes = vec![0; usize::try_from(self.seed.below(9000)).unwrap()];
                self.seed.fill(&mut bytes);
                Change::Append(Append { lin: place.lin, content: Content::Inline(bytes.into()), mtime: None })
            }
            (_, Some(place)) => {
                let mode = if self.seed.below(3) == 0 { RenameMode::Exchange } else { RenameMode::Replace };
                let other = self.pick(&places).clone();
                let onto = self.seed.below(2) == 0;
                let (to_parent, to_name) = if onto { (other.parent, other.name) } else { (parent, self.name()) };
                Change::Rename(Rename { from_parent: place.parent, from_name: place.name, to_parent, to_name, mode })
            }
        };
        // What the tree refuses (a directory below itself, a directory that is not empty) is part of the game.
        let _ = self.cluster.shared.try_apply(Operation::Change(change));
    }

    fn make_directory(&mut self, parent: Lin) {
        let name = self.name().to_string();
        self.cluster.mkdir(parent, &name);
    }

    async fn make_file(&mut self, parent: Lin) {
        let name = self.name().to_string();
        let mut content = vec![0; usize::try_from(self.seed.below(700_000) >> self.seed.below(12)).unwrap()];
        self.seed.fill(&mut content);
        self.cluster.file(parent, &name, &content).await;
    }

    async fn write(&mut self, place: &Place) -> Change {
        let mut content = vec![0; 1 + usize::try_from(self.seed.below(50_000)).unwrap()];
        self.seed.fill(&mut content);
        let content = self.cluster.content(self.seed.below(600_000), &content).await;
        Change::Write { lin: place.lin, content, mtime: None }
    }

    /// Everything below the root but the root of the set itself, inside of the set and outside.
    fn places(&self) -> Vec<Place> {
        let view = self.cluster.view();
        let mut places: BTreeMap<(Lin, Name), Place> = BTreeMap::new();
        let mut waiting = vec![Lin::ROOT];
        while let Some(parent) = waiting.pop() {
            for entry in view.read_directory(parent, None, usize::MAX).unwrap() {
                if entry.kind == FileKind::Directory {
                    waiting.push(entry.lin);
                }
                if entry.lin != self.data {
                    let place = Place { parent, name: entry.name.clone(), lin: entry.lin, kind: entry.kind };
                    places.insert((parent, entry.name), place);
                }
            }
        }
        places.into_values().collect()
    }

    fn name(&mut self) -> Name {
        self.counter += 1;
        Name::new(format!("n{}", self.counter)).unwrap()
    }

    fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.seed.below(from.len() as u64)).unwrap()]
    }
}
