//! The lines of the README do what they say, as they stand, in a fresh folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::cluster::{Cli, Cluster};

const README: &str = include_str!("../../README.md");

/// The commands of a section.
fn lines(section: &str) -> Vec<&'static str> {
    let (_, text) = README.split_once(&format!("\n## {section}\n")).unwrap();
    let block = text.split("```").nth(1).unwrap();
    let lines: Vec<_> = block.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(lines.len() >= 5 && lines.iter().all(|line| line.starts_with("holdfast ")), "{lines:?}");
    lines
}

/// Runs a line in the folder as a shell would, with the program in its path, and gives what it printed.
fn run(line: &str, folder: &Path, cli: &Cli) -> String {
    let mut shell = Command::new("sh");
    // The same home as other command lines of the cluster have, and the program that they are.
    let command = cli.command::<&str>(&[]);
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let programs = Path::new(command.get_program()).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    shell.args(["-c", line]).current_dir(folder).env("PATH", path).env("HOLDFAST_PASSPHRASE", "correct horse battery");
    let output = shell.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_commands_of_the_readme_run_as_written() {
    let mut cluster = Cluster::start(3).unwrap();
    let (folder, cli) = (cluster.folder().to_owned(), cluster.cli_without_cluster().clone());
    for node in 1..=3 {
        symlink(format!("n{node}/admin.sock"), folder.join(format!("n{node}.sock"))).unwrap();
    }
    fs::create_dir_all(folder.join("photos")).unwrap();
    fs::write(folder.join("photos/one"), vec![1; 100_000]).unwrap();
    fs::create_dir(folder.join("bucket")).unwrap();

    let mut tokens = Vec::<String>::new();
    for line in lines("Use it") {
        let token = if line.contains("TOKEN") { tokens.remove(0) } else { String::new() };
        let printed = run(&line.replace("TOKEN", &token), &folder, &cli);
        tokens.extend(printed.lines().filter_map(|line| Some(line.split_once("cluster join ")?.1.to_owned())));
    }
    cluster.destroy().unwrap();
    for line in lines("The worst day") {
        run(line, &folder, &cli);
    }

    for restored in ["restored/photos/one", "older/one"] {
        assert!(fs::read(folder.join(restored)).unwrap() == vec![1; 100_000], "{restored}");
    }
}
