//! The lines of the README do what they say, as they stand, one after the other in one shell.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use testkit::cluster::{Programs, free_ports};

const README: &str = include_str!("../../README.md");
/// The block of commands in "Use it" that is run; the one before it builds the programs.
const USE_IT: usize = 1;
const THE_WORST_DAY: usize = 0;

/// The commands of a block of a section.
fn lines(section: &str, block: usize) -> Vec<&'static str> {
    let (_, text) = README.split_once(&format!("\n## {section}\n")).unwrap();
    let block = text.split("```").nth(2 * block + 1).unwrap();
    let lines: Vec<_> = block.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(lines.len() >= 5 && lines.iter().any(|line| line.starts_with("holdfast ")), "{lines:?}");
    lines
}

/// A shell as a person's, which takes line by line.
struct Shell {
    process: Child,
    typed: Option<ChildStdin>,
    printed: Lines<BufReader<ChildStdout>>,
}

impl Shell {
    fn start(home: &Path, checkout: &Path) -> Self {
        let programs = Programs::find().unwrap();
        let programs = programs.holdfast.parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut bash = Command::new("bash");
        bash.current_dir(checkout).env("HOME", home).env("PATH", path).env_remove("XDG_CONFIG_HOME");
        bash.env("HOLDFAST_PASSPHRASE", "correct horse battery").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = bash.spawn().unwrap();
        let (typed, printed) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()).lines());
        let mut shell = Self { process, typed, printed };
        // However the test ends, no node is left.
        shell.run("trap 'kill -9 $(jobs -p) 2> /dev/null' EXIT");
        shell
    }

    /// Runs a line, which is to succeed, and gives what it printed.
    fn run(&mut self, line: &str) -> Vec<String> {
        let typed = self.typed.as_mut().unwrap();
        writeln!(typed, "{line}\necho \"=== $?\"").unwrap();
        let mut printed = Vec::new();
        for next in self.printed.by_ref() {
            let next = next.unwrap();
            match next.strip_prefix("=== ") {
                Some("0") => return printed,
                Some(code) => panic!("{line}: exit code {code}"),
                None => printed.push(next),
            }
        }
        panic!("{line}: the shell has ended")
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.typed.take());
        let _reaped = self.process.wait();
    }
}

/// The examples, as they lie in a checkout, but with ports that nobody uses.
fn copy_examples(checkout: &Path) {
    let ports = free_ports(6).unwrap();
    let folder = checkout.join("cluster-config");
    fs::create_dir_all(&folder).unwrap();
    for (node, ports) in (1..).zip(ports.chunks_exact(2)) {
        let name = format!("local-{node}.toml");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster-config").join(&name);
        let example = fs::read_to_string(path).unwrap();
        let [peers, metrics] = [ports[0], ports[1]].map(|port| format!("127.0.0.1:{port}"));
        let moved = example.replace(&format!("127.0.0.1:741{node}"), &peers);
        let moved = moved.replace(&format!("127.0.0.1:742{node}"), &metrics);
        assert_eq!((moved.matches(&peers).count(), moved.matches(&metrics).count()), (2, 1), "{name}");
        fs::write(folder.join(name), moved).unwrap();
    }
}

#[test]
fn the_commands_of_the_readme_run_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let (home, checkout) = (folder.path().join("home"), folder.path().join("checkout"));
    copy_examples(&checkout);
    fs::create_dir_all(home.join("photos")).unwrap();
    fs::write(home.join("photos/one"), vec![1; 100_000]).unwrap();
    let mut shell = Shell::start(&home, &checkout);

    let mut tokens = Vec::<String>::new();
    for line in lines("Use it", USE_IT) {
        let token = if line.contains("TOKEN") { tokens.remove(0) } else { String::new() };
        let printed = shell.run(&line.replace("TOKEN", &token));
        tokens.extend(printed.iter().filter_map(|line| Some(line.split_once("cluster join ")?.1.to_owned())));
    }
    for line in lines("The worst day", THE_WORST_DAY) {
        shell.run(line);
    }

    let trial = home.join("holdfast-trial");
    for restored in ["restored/photos/one", "older/one"] {
        assert!(fs::read(trial.join(restored)).unwrap() == vec![1; 100_000], "{restored}");
    }
    assert_eq!(fs::read_dir(&checkout).unwrap().count(), 1, "nothing of the trial lies in the checkout");
}
