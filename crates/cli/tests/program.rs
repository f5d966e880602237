//! The program as scripts meet it, where no cluster is needed.

#![allow(clippy::disallowed_methods, reason = "tests look at the real program from outside")]

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::process::{Child, Command, Output, Stdio};
    use std::time::{Duration, Instant};

    use rustix::io::ioctl_fionread;
    use rustix::process::{Pid, Signal, kill_process};

    use repo::{KeyObject, NewRepository, PassphraseCost, Repository};
    use runtime::Seed;
    use site::Site;
    use types::{ClusterId, Generation, RepositoryId};

    const PASSPHRASE: &str = "a long passphrase";

    fn holdfast(folder: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.env_clear().env("HOME", folder).stdin(Stdio::null()).args(arguments).output().unwrap()
    }

    fn error_of(output: &Output) -> serde_json::Value {
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"))["error"]
            .take()
    }

    #[test]
    fn every_error_is_json_when_json_is_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let wrong_usage: [&[&str]; 4] = [
            &["--json", "nonsense"],
            &["fs", "mv", "/a", "--json"],
            &["--json"],
            &["--json", "fs", "mkdir", "-m9", "/"],
        ];
        for line in wrong_usage {
            let refused = holdfast(home.path(), line);
            assert_eq!(refused.status.code(), Some(2), "{line:?}");
            let error = error_of(&refused);
            assert_eq!((&error["code"], &error["exit"]), (&"usage".into(), &2.into()), "{line:?}");
            assert_eq!(refused.stdout, b"");
        }
        let unreachable = holdfast(home.path(), &["--json", "--socket", "/nowhere", "cluster", "status"]);
        assert_eq!((unreachable.status.code(), &error_of(&unreachable)["exit"]), (Some(6), &6.into()));
    }

    #[test]
    fn what_belongs_to_a_command_that_is_run_is_not_taken_for_a_wish_for_json() {
        let home = tempfile::tempdir().unwrap();
        let refused = holdfast(home.path(), &["nonsense", "--", "--json"]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(refused.stderr.starts_with(b"error: "));
    }

    #[test]
    fn contexts_are_listed_chosen_and_removed() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".config/holdfast");
        fs::create_dir_all(folder.join("home")).unwrap();
        let text = "current = \"home\"\n[contexts.home]\ncluster = \"c1\"\nendpoints = [\"a:1\", \"b:1\"]\n\
                    [contexts.away]\ncluster = \"c2\"\nendpoints = [\"c:1\"]\n";
        fs::write(folder.join("config.toml"), text).unwrap();
        fs::write(folder.join("home/admin.key"), "key").unwrap();
        let stdout = |arguments: &[&str]| {
            let output = holdfast(home.path(), arguments);
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };

        assert_eq!(
            stdout(&["context", "list"]),
            "   NAME  CLUSTER  NODES\n   away  c2       c:1\n*  home  c1       a:1 b:1\n"
        );
        stdout(&["context", "use", "away"]);
        assert!(stdout(&["context", "show", "away", "--json"]).contains(r#""current":true"#));
        stdout(&["context", "remove", "home"]);
        assert!(!folder.join("home").exists());
        for command in ["show", "use", "remove"] {
            assert_eq!(holdfast(home.path(), &["context", command, "home"]).status.code(), Some(3), "{command}");
        }
    }

    #[test]
    fn the_version_tells_commit_protocol_and_formats() {
        let home = tempfile::tempdir().unwrap();
        let told = String::from_utf8(holdfast(home.path(), &["--version"]).stdout).unwrap();
        let lines: Vec<_> = told.lines().collect();
        let [name, commit, protocol, formats] = lines[..] else { panic!("{told}") };
        assert_eq!(name, concat!("holdfast ", env!("CARGO_PKG_VERSION")));
        assert!(commit.strip_prefix("commit ").is_some_and(|commit| !commit.is_empty()), "{told}");
        assert_eq!(protocol, "protocol: holdfast.v1");
        let listed: Vec<_> = formats.strip_prefix("formats: ").unwrap().split(", ").map(str::to_owned).collect();
        let written = repo::FORMATS.map(|(format, version)| format!("{format} {version}"));
        assert_eq!(listed, written);
    }

    #[test]
    fn completions_know_every_family_of_commands() {
        let home = tempfile::tempdir().unwrap();
        for shell in ["bash", "zsh", "fish"] {
            let script = String::from_utf8(holdfast(home.path(), &["completions", shell]).stdout).unwrap();
            for family in ["cluster", "fs", "snapshot", "site", "policy", "backup", "repo", "restore", "context"] {
                assert!(script.contains(family), "{shell} lacks {family}");
            }
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is() {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.env("HOME", home.path()).args(["completions", "zsh"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(process.stdout.take());
        let output = process.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));

        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(command.stdout(full).stderr(Stdio::null()).status().unwrap().code(), Some(8));
    }

    /// Waits for the end of a process, and gives its exit code; one that does not end is killed.
    fn ends_within(limit: Duration, process: &mut Child) -> Option<i32> {
        let begin = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status.code();
            }
            if begin.elapsed() > limit {
                process.kill().unwrap();
                process.wait().unwrap();
                panic!("it still ran after {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_signal_ends_what_waits_for_a_reader_that_does_not_read() {
        let home = tempfile::tempdir().unwrap();
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let (reader, writer) = std::io::pipe().unwrap();
            // Standard error goes the same way, as in `holdfast … 2>&1 | less`.
            let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
            command.env("HOME", home.path()).args(["completions", "zsh"]).stderr(writer.try_clone().unwrap());
            let mut process = command.stdout(writer).spawn().unwrap();
            drop(command);
            // The script is longer than a pipe holds.
            let begin = Instant::now();
            while ioctl_fionread(&reader).unwrap() < 65_536 {
                assert!(begin.elapsed() < Duration::from_secs(60), "the pipe is not full");
                std::thread::sleep(Duration::from_millis(20));
            }
            kill_process(Pid::from_child(&process), signal).unwrap();
            assert_eq!(ends_within(Duration::from_secs(10), &mut process), Some(code));
        }
    }

    #[test]
    fn a_script_without_a_passphrase_is_told_how_to_give_one() {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(env!("CARGO_BIN_EXE_holdfast")).args(["repo", "list", "--url", "file:///tmp"]);
        let refused = command.env("HOME", home.path()).stdin(Stdio::null()).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("--passphrase-file") && said.contains("$HOLDFAST_PASSPHRASE"), "{said}");
    }

    /// Makes a repository without backups in a folder, and gives its URL.
    fn repository(folder: &Path) -> String {
        fs::create_dir(folder).unwrap();
        let (url, seed) = (format!("file://{}", folder.display()), Seed::from_os());
        let repository = RepositoryId(seed.uuid());
        let keys = KeyObject::create(repository, PASSPHRASE, PassphraseCost::LEAST, &seed).unwrap().object;
        let cluster = ClusterId(seed.uuid());
        let new = NewRepository { repository, cluster, generation: Generation(1), keys, random: 1 };
        let made = async { Repository::create(&Site::open(&url).unwrap(), &new).await.map(drop) };
        tokio::runtime::Runtime::new().unwrap().block_on(made).unwrap();
        url
    }

    #[test]
    fn a_site_that_fails_for_a_while_is_asked_again_and_whoever_waits_is_told() {
        let home = tempfile::tempdir().unwrap();
        let url = repository(&home.path().join("site"));
        let [bootstrap, aside, passphrase] =
            ["site/holdfast.json", "aside", "passphrase"].map(|name| home.path().join(name));
        fs::write(&passphrase, PASSPHRASE).unwrap();
        // A link to itself: the system does not say that nothing is there, and not what is.
        fs::rename(&bootstrap, &aside).unwrap();
        symlink("holdfast.json", &bootstrap).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.env_clear().env("HOME", home.path()).args(["--json", "repo", "list", "--url", &url]);
        command.arg("--passphrase-file").arg(&passphrase).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut told = String::new();
        BufReader::new(process.stderr.as_mut().unwrap()).read_line(&mut told).unwrap();
        serde_json::from_str::<serde_json::Value>(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
        assert!(told.contains("tried again") && told.contains("holdfast.json"), "{told}");
        fs::remove_file(&bootstrap).unwrap();
        fs::rename(&aside, &bootstrap).unwrap();
        assert_eq!(process.wait_with_output().unwrap().status.code(), Some(0));
    }
}
