//! Every command that the program has does what it is for, and with `--json` prints JSON objects alone, one a line.

use std::collections::BTreeSet;
use std::fs;

use testkit::cluster::{Cli, Cluster, Output};

/// Commands whose result is text or bytes as they are: no JSON is put around those.
const RAW: [&str; 3] = ["completions", "fs cat", "repo keys duckdb"];

/// A life with all commands: on which node, the line, and what every object has that it prints. `DIR` is the folder of
/// the test; `TOKEN` and `JOB` are those that an earlier line printed.
const STORY: [(usize, &str, &[&str]); 58] = [
    (1, "cluster init --first-nodes 1", &["address", "cluster", "context", "tokens"]),
    (1, "cluster status --wait", &["cluster", "leader", "nodes", "ready"]),
    (1, "fs mkdir -p /a/b", &[]),
    (1, "fs put -r DIR/tree /a", &["bytes", "failed", "files"]),
    (1, "fs ls -lR /a", &["kind", "name", "path", "size"]),
    (1, "fs stat /a/tree/file /a/tree", &["lin", "path", "xattrs"]),
    (1, "fs locks /a /a/tree/file", &[]),
    (1, "fs df", &["capacity_bytes", "inodes"]),
    (1, "quota set /a --bytes 1GiB --inodes 1000", &["bytes_allowed", "path", "state"]),
    (1, "quota set --user 4242 --inodes 1", &["inodes_allowed", "state", "user"]),
    (1, "quota list", &["bytes_used", "inodes_used", "state"]),
    (1, "quota show /a", &["bytes_used", "path"]),
    (1, "fs df /a", &["available_bytes", "quota"]),
    (1, "quota remove --user 4242", &[]),
    (1, "fs ln /a/tree/file /a/second", &[]),
    (1, "fs ln -s tree/file /a/link", &[]),
    (1, "fs mv /a/second /a/b", &[]),
    (1, "fs cat /a/b/second", &[]),
    (1, "fs append /a/b/log", &["bytes", "lin"]),
    (1, "snapshot create monday", &["name", "revision", "state"]),
    (1, "fs rm /a/tree/file", &[]),
    (1, "snapshot list", &["name", "revision", "state"]),
    (1, "fs ls --at monday /a/tree", &["path"]),
    (1, "fs stat --at monday /a/tree/file", &["path"]),
    (1, "fs cat --at monday /a/tree/file", &[]),
    (1, "fs get -r --at monday /a/tree DIR/monday", &["bytes", "failed", "files"]),
    (1, "fs clone --at monday /a/tree/file /a/b/clone", &["bytes", "lin"]),
    (1, "snapshot delete monday", &[]),
    (1, "site add cloud file://DIR/bucket --passphrase-file DIR/passphrase", &["name", "repository", "url"]),
    (1, "site list", &["name", "repository", "url"]),
    (1, "site test cloud", &["can_overwrite", "node", "problem"]),
    (1, "repo kit cloud --passphrase-file DIR/passphrase --output DIR/kit", &["file", "repository"]),
    (1, "policy create daily --site cloud /a", &["name", "roots", "site"]),
    (1, "policy list", &["name", "roots", "site"]),
    (1, "policy show daily", &["name", "roots", "site"]),
    (1, "backup run daily --no-wait", &["job", "phase"]),
    (1, "backup cancel JOB", &["job", "phase"]),
    (1, "backup run daily", &["commit", "job", "phase"]),
    (1, "backup status --wait", &["commit", "job", "phase"]),
    (1, "backup list --policy daily", &["commit", "job", "phase"]),
    (1, "repo kit --verify DIR/kit", &["backups", "repository"]),
    (1, "repo list --kit DIR/kit", &["commit", "epoch", "roots"]),
    (1, "repo ls -lR --kit DIR/kit /a", &["kind", "name", "path"]),
    (1, "repo check --kit DIR/kit --deep", &["backups", "findings", "objects"]),
    (1, "repo keys duckdb --kit DIR/kit", &[]),
    (1, "restore --kit DIR/kit --dry-run DIR/nothing", &["bytes", "files", "requests"]),
    (1, "restore --kit DIR/kit --path /a/b/second DIR/one", &["bytes", "failed", "files"]),
    (1, "restore --kit DIR/kit DIR/all", &["bytes", "failed", "files"]),
    (1, "policy delete daily", &[]),
    (1, "site remove cloud", &["name", "url"]),
    (1, "cluster accept-time 2026-01-02T03:04:05Z", &["state_time"]),
    (1, "cluster token", &["tokens"]),
    (2, "cluster join TOKEN", &["cluster", "node"]),
    (1, "context list", &["cluster", "current", "endpoints", "name"]),
    (1, "context use holdfast", &[]),
    (1, "context show holdfast", &["cluster", "current", "endpoints", "name"]),
    (1, "context remove holdfast", &[]),
    (1, "completions fish", &[]),
];

/// The commands below one, as its own help lists them; those that have none below are what can be run.
fn commands(cli: &Cli, family: &[&str]) -> Vec<String> {
    let help = String::from_utf8(cli.ok(&[family, &["--help"]].concat()).unwrap()).unwrap();
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return vec![family.join(" ")] };
    let list = list.split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").flat_map(|name| commands(cli, &[family, &[name]].concat())).collect()
}

/// Which command a line runs.
fn command_of(line: &str, all: &[String]) -> String {
    let found = all.iter().find(|command| line == **command || line.starts_with(&format!("{command} ")));
    found.unwrap_or_else(|| panic!("{line} is no command of {all:?}")).clone()
}

/// Looks at the objects that a line printed, and gives the first.
fn objects(line: &str, output: &Output, fields: &[&str]) -> Option<serde_json::Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let parse = |object| serde_json::from_str(object).unwrap_or_else(|error| panic!("{line}: {error}: {object}"));
    let objects: Vec<serde_json::Value> = text.lines().map(parse).collect();
    assert_eq!(objects.is_empty(), fields.is_empty(), "{line}: {text}");
    for object in &objects {
        assert!(fields.iter().all(|field| object.get(field).is_some()), "{line}: {object}");
    }
    objects.into_iter().next()
}

#[test]
fn every_command_works_and_prints_nothing_but_json_where_that_is_asked_for() {
    let cluster = Cluster::start(2).unwrap();
    let folder = cluster.folder().display().to_string();
    let all = commands(cluster.cli_without_cluster(), &[]);
    fs::create_dir(cluster.path("tree")).unwrap();
    fs::create_dir(cluster.path("bucket")).unwrap();
    fs::write(cluster.path("passphrase"), "correct horse battery staple\n").unwrap();
    fs::write(cluster.path("tree/file"), b"content").unwrap();
    // A first backup that takes longer than the next command needs to cancel it.
    let mut big = vec![0; 64 << 20];
    testkit::seed().fill(&mut big);
    fs::write(cluster.path("tree/big"), big).unwrap();

    let (mut ran, mut token, mut job) = (BTreeSet::new(), String::new(), String::new());
    for (node, line, fields) in STORY {
        let typed = line.replace("DIR", &folder).replace("TOKEN", &token).replace("JOB", &job);
        let arguments: Vec<&str> = std::iter::once("--json").chain(typed.split(' ')).collect();
        let output = cluster.cli(node).run(&arguments).unwrap();
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{line}");
        let command = command_of(line, &all);
        if RAW.contains(&&*command) {
            assert!(!output.stdout.is_empty(), "{line}");
        } else if let Some(first) = objects(line, &output, fields) {
            token = first["tokens"][0].as_str().map_or(token, str::to_owned);
            job = first["job"].as_u64().map_or(job, |number| number.to_string());
        }
        ran.insert(command);
    }
    let missing: Vec<_> = all.into_iter().filter(|command| !ran.contains(command)).collect();
    assert_eq!(missing, [] as [String; 0], "no line runs these");
    for copy in ["monday/file", "one/second", "all/a/b/second"] {
        assert_eq!(fs::read(cluster.path(copy)).unwrap(), b"content", "{copy}");
    }
    assert!(!cluster.path("nothing").exists(), "a dry run restores nothing");
}
