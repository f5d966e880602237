//! Backups come back when the cluster is gone, and damage is named.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::cluster::Cluster;
use testkit::compare::{CompareOptions, compare};
use testkit::tree::{TreeOptions, make};

/// A cluster with a tree at `/tree`, a site and a policy; and what a person keeps: the kit and the passphrase.
struct Protected {
    cluster: Cluster,
    tree: PathBuf,
    repository: PathBuf,
    kit: PathBuf,
    passphrase: PathBuf,
}

impl Protected {
    fn new() -> Self {
        let cluster = Cluster::formed(3).unwrap();
        let [tree, repository, kit, passphrase] =
            ["tree", "repository", "kit", "passphrase"].map(|name| cluster.path(name));
        make(&tree, TreeOptions { entries: 200, bytes_max: 16 << 20 }, &testkit::seed()).unwrap();
        fs::create_dir(&repository).unwrap();
        fs::write(&passphrase, "correct horse battery staple\n").unwrap();
        let url = format!("file://{}", repository.display());
        let cli = cluster.cli(1);
        cli.ok(&["fs", "put", "-r", &shown(&tree), "/tree"]).unwrap();
        cli.ok(&["site", "add", "cloud", &url, "--passphrase-file", &shown(&passphrase)]).unwrap();
        cli.ok(&["repo", "kit", "cloud", "--passphrase-file", &shown(&passphrase), "--output", &shown(&kit)]).unwrap();
        cli.ok(&["policy", "create", "daily", "--site", "cloud", "/tree"]).unwrap();
        Self { cluster, tree, repository, kit, passphrase }
    }

    fn back_up(&self) {
        self.cluster.cli(2).ok(&["backup", "run", "daily"]).unwrap();
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_backup_comes_back_when_the_cluster_is_gone() {
    let mut protected = Protected::new();
    protected.back_up();
    protected.cluster.destroy().unwrap();

    let target = protected.cluster.path("restored");
    let command = ["restore", "--kit", &shown(&protected.kit), &shown(&target)];
    protected.cluster.cli_without_cluster().ok(&command).unwrap();

    let comparison = compare(&protected.tree, &target.join("tree"), CompareOptions::default()).unwrap();
    assert_eq!(comparison.differences, []);
}

#[test]
fn an_unchanged_tree_gives_a_second_backup_that_adds_little() {
    let protected = Protected::new();
    protected.back_up();
    let first = bytes_below(&protected.repository);
    protected.back_up();
    let added = bytes_below(&protected.repository) - first;
    assert!(added < 64 << 10, "{added} bytes added to {first}");
}

/// Appends what a generator of lines writes, in calls of a command of its own.
fn append(cluster: &Cluster, path: &str, bytes: &[u8]) {
    let input = cluster.path("input");
    fs::write(&input, bytes).unwrap();
    let mut command = cluster.cli(1).command(&["fs", "append", path]);
    let output = command.stdin(fs::File::open(&input).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// P16: a file that grows by small appends is backed up as it is at each moment, whatever of it has been cut into blocks.
#[test]
fn a_log_that_grows_comes_back_as_each_snapshot_and_each_backup_had_it() {
    let mut protected = Protected::new();
    let (seed, mut log, mut moments) = (testkit::seed(), Vec::new(), Vec::new());
    for (round, appends) in [12, 3, 25].into_iter().enumerate() {
        for _ in 0..appends {
            let mut bytes = vec![0; usize::try_from(1 + seed.below(9000)).unwrap()];
            seed.fill(&mut bytes);
            append(&protected.cluster, "/tree/grown.log", &bytes);
            log.extend_from_slice(&bytes);
        }
        protected.cluster.cli(1).ok(&["snapshot", "create", &format!("round-{round}")]).unwrap();
        protected.back_up();
        moments.push(log.clone());
    }
    let cat =
        |arguments: &[&str]| protected.cluster.cli(3).ok(&[&["fs", "cat", "/tree/grown.log"], arguments].concat());
    for (round, expected) in moments.iter().enumerate() {
        assert!(cat(&["--at", &format!("round-{round}")]).unwrap() == *expected, "round {round}");
    }
    assert!(cat(&[]).unwrap() == log);
    protected.cluster.destroy().unwrap();

    let cli = protected.cluster.cli_without_cluster();
    cli.ok(&["repo", "check", "--kit", &shown(&protected.kit), "--deep"]).unwrap();
    for (epoch, expected) in (1..).zip(&moments) {
        let target = protected.cluster.path(&format!("restored-{epoch}"));
        let wanted = ["--epoch", &format!("{epoch}"), "--path", "/tree/grown.log"];
        cli.ok(&[&["restore", "--kit", &shown(&protected.kit), &shown(&target)], &wanted[..]].concat()).unwrap();
        assert!(fs::read(target.join("grown.log")).unwrap() == *expected, "backup {epoch}");
    }
}

/// What is done to an object.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// One bit of it is flipped: in a sealed object in the middle; in one that is JSON in its first bracket, because not
    /// every bit of text means something.
    Flipped,
    /// It is not there.
    Gone,
}

impl Harm {
    fn inflict(self, object: &Path, whole: &[u8]) {
        let mut bytes = whole.to_vec();
        let at = if bytes[0] == b'{' { 0 } else { bytes.len() / 2 };
        bytes[at] ^= 1;
        match self {
            Self::Flipped => fs::write(object, bytes).unwrap(),
            Self::Gone => fs::remove_file(object).unwrap(),
        }
    }
}

/// P30 and law 11: damage to anything is found and named by a check, and a restore names it or gets by without it.
#[test]
fn damage_to_any_kind_of_object_is_found_and_named() {
    const WHOLE: i32 = 0;
    const DAMAGED: i32 = 7;
    const FOUND: i32 = 10;
    let protected = Protected::new();
    protected.back_up();
    let cli = protected.cluster.cli_without_cluster();
    let kit = shown(&protected.kit);
    // The kit knows which repository it opens; who owns it concerns writers alone; where a block lies is asked of the
    // table of blocks only where an extent does not know it; and the state is for a cluster that begins anew.
    for (kind, restored) in [
        ("holdfast.json", WHOLE),
        ("keys", DAMAGED),
        ("owner", WHOLE),
        ("commits", DAMAGED),
        ("tables/inodes", DAMAGED),
        ("tables/entries", DAMAGED),
        ("tables/extents", DAMAGED),
        ("tables/blocks", WHOLE),
        ("tables/objects", DAMAGED),
        ("objects", DAMAGED),
        ("state", WHOLE),
    ] {
        let object = first_file_below(&protected.repository.join(kind));
        let name = object.file_name().unwrap().to_string_lossy().into_owned();
        let whole = fs::read(&object).unwrap();
        for harm in [Harm::Flipped, Harm::Gone] {
            // Nobody but the cluster knows of a newest commit that is gone.
            if kind == "commits" && matches!(harm, Harm::Gone) {
                continue;
            }
            harm.inflict(&object, &whole);
            let check = cli.run(&["repo", "check", "--deep", "--kit", &kit]).unwrap();
            let target = protected.cluster.path("restored");
            let restore = cli.run(&["restore", "--kit", &kit, &shown(&target)]).unwrap();
            let told = check.stderr + &String::from_utf8_lossy(&check.stdout);
            assert_eq!(
                (check.code, restore.code),
                (Some(FOUND), Some(restored)),
                "{kind} {harm:?}: {told}\n{}",
                restore.stderr
            );
            // Of keys and owners that are gone nobody knows the names.
            let is_named = told.contains(&name) || (matches!(harm, Harm::Gone) && told.contains(kind));
            assert!(is_named, "{kind} {harm:?}: {name} is not named in: {told}");
            if restored == WHOLE {
                let comparison = compare(&protected.tree, &target.join("tree"), CompareOptions::default()).unwrap();
                assert_eq!(comparison.differences, [], "{kind} {harm:?}");
            }
            fs::remove_dir_all(&target).or_else(is_not_there).unwrap();
            fs::write(&object, &whole).unwrap();
        }
    }
}

fn is_not_there(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// A lost commit takes its own backup and no other; and nobody is given an older backup without having asked for it.
#[test]
fn a_damaged_newest_commit_is_named_and_the_backup_before_it_still_comes_back() {
    let protected = Protected::new();
    protected.back_up();
    protected.back_up();
    let commit = first_file_below(&protected.repository.join("commits"));
    fs::write(&commit, b"not a commit").unwrap();
    let target = protected.cluster.path("restored");
    let cli = protected.cluster.cli_without_cluster();

    let refused = cli.run(&["restore", "--kit", &shown(&protected.kit), &shown(&target)]).unwrap();
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    let name = commit.file_name().unwrap().to_string_lossy();
    assert!(refused.stderr.contains(&*name) && refused.stderr.contains("--epoch 1"), "{}", refused.stderr);
    assert!(!target.exists());

    cli.ok(&["restore", "--kit", &shown(&protected.kit), "--epoch", "1", &shown(&target)]).unwrap();
    let comparison = compare(&protected.tree, &target.join("tree"), CompareOptions::default()).unwrap();
    assert_eq!(comparison.differences, []);
}

/// A damaged table stops a restore, and what it says names the option that gets past it.
#[test]
fn a_damaged_table_is_named_with_the_way_past_it() {
    let protected = Protected::new();
    protected.back_up();
    let table = first_file_below(&protected.repository.join("tables/inodes"));
    fs::write(&table, b"not a table").unwrap();
    let (target, kit) = (protected.cluster.path("restored"), shown(&protected.kit));
    let cli = protected.cluster.cli_without_cluster();

    let refused = cli.run(&["restore", "--kit", &kit, &shown(&target)]).unwrap();
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    let name = table.file_name().unwrap().to_string_lossy();
    assert!(refused.stderr.contains(&*name) && refused.stderr.contains("--rebuild-tables"), "{}", refused.stderr);
    assert!(!target.join("tree").exists());

    let restored = cli.run(&["restore", "--kit", &kit, "--overwrite", "--rebuild-tables", &shown(&target)]).unwrap();
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert!(restored.stderr.contains("made again"), "{}", restored.stderr);
    let comparison = compare(&protected.tree, &target.join("tree"), CompareOptions::default()).unwrap();
    assert_eq!(comparison.differences, []);
}

#[test]
fn a_wrong_passphrase_is_refused_and_nothing_is_written() {
    let protected = Protected::new();
    protected.back_up();
    fs::write(&protected.passphrase, "wrong\n").unwrap();
    let target = protected.cluster.path("restored");

    let url = format!("file://{}", protected.repository.display());
    let command = ["restore", "--url", &url, "--passphrase-file", &shown(&protected.passphrase), &shown(&target)];
    let output = protected.cluster.cli_without_cluster().run(&command).unwrap();

    assert_eq!(output.code, Some(9), "{}", output.stderr);
    assert!(output.stderr.contains("passphrase"), "{}", output.stderr);
    assert!(!target.exists());
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { pending.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// The first of the files in a folder, or the file itself.
fn first_file_below(path: &Path) -> PathBuf {
    if path.is_file() {
        return path.to_owned();
    }
    files_below(path).into_iter().next().expect("a backup has objects of every kind")
}

fn bytes_below(folder: &Path) -> u64 {
    files_below(folder).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}
