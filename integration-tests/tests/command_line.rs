//! The command line as people and scripts meet it: on a terminal, in a pipe, interrupted, with odd names.

use std::ffi::OsStr;
use std::fs;
use std::io::{PipeReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};
use testkit::cluster::{Cluster, wait_for};
use testkit::compare::{CompareOptions, compare};

const DEADLINE: Duration = Duration::from_secs(60);

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

/// A cluster of one node with a file `/big` that takes a while to copy, and the same file here.
fn cluster_with_big_file() -> (Cluster, PathBuf) {
    let cluster = Cluster::formed(1).unwrap();
    let big = cluster.path("big");
    fs::write(&big, noise(150 << 20)).unwrap();
    cluster.cli(1).ok(&["fs", "put", &shown(&big), "/big"]).unwrap();
    (cluster, big)
}

/// What a terminal was told, as the lines that were on show at one time or another.
fn lines_shown(transcript: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(transcript);
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' => drop(characters.by_ref().find(char::is_ascii_alphabetic)),
            other => plain.push(other),
        }
    }
    plain.split(['\r', '\n']).map(str::to_owned).filter(|line| !line.trim().is_empty()).collect()
}

#[test]
fn progress_is_one_line_with_rate_and_rest_and_only_on_a_terminal() {
    let (cluster, big) = cluster_with_big_file();
    let put = ["fs", "put", &shown(&big), "/again"];

    let on_terminal = cluster.cli(1).on_terminal(70, &put).output().unwrap();
    assert!(on_terminal.status.success());
    let lines = lines_shown(&on_terminal.stdout);
    let (summary, progress) = lines.split_last().unwrap();
    assert_eq!(summary.trim(), "1 file, 150.00 MiB");
    assert!(progress.iter().any(|line| line.contains(" of 150.00 MiB") && line.contains("MiB/s")), "{lines:?}");
    // What a terminal shows of Ctrl-C has room behind the line, so that both can be cleared.
    assert!(lines.iter().all(|line| line.chars().count() <= 67), "{lines:?}");
    assert!(on_terminal.stdout.windows(4).any(|bytes| bytes == b"\x1b[2K"), "the line is cleared");

    let in_pipe = cluster.cli(1).run(&put).unwrap();
    assert_eq!((in_pipe.code, in_pipe.stderr.as_str()), (Some(0), ""));
    let quiet = ["--quiet", "fs", "put", &shown(&big), "/again"];
    assert_eq!(cluster.cli(1).on_terminal(70, &quiet).output().unwrap().stdout, b"");
}

/// Waits until a process has written some of a big file. The file may have no name yet, so the process is looked at.
fn wait_until_it_writes(process: &Child) {
    let written = || {
        let counters = fs::read_to_string(format!("/proc/{}/io", process.id())).unwrap_or_default();
        let line = counters.lines().find_map(|line| line.strip_prefix("wchar: ")).map(str::parse);
        line.and_then(Result::ok).unwrap_or(0_u64)
    };
    wait_for("bytes that are written", DEADLINE, || if written() > 1 << 20 { Ok(()) } else { Err(written()) }).unwrap();
}

fn interrupt(process: &Child) {
    kill_process(Pid::from_child(process), Signal::INT).unwrap();
}

#[test]
fn an_interrupted_get_leaves_what_was_there_and_nothing_else() {
    let (cluster, _) = cluster_with_big_file();
    let folder = cluster.path("back");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("big"), b"old").unwrap();
    let mut get = cluster.cli(1).command(&["fs", "get", "/big", &shown(&folder)]);
    let mut get = get.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_it_writes(&get);

    interrupt(&get);

    let status = get.wait().unwrap();
    let mut said = String::new();
    get.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert_eq!(said, "holdfast: interrupted\n");
    assert_eq!(fs::read(folder.join("big")).unwrap(), b"old");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing temporary is left");
}

#[test]
fn an_interrupted_put_leaves_no_file() {
    let cluster = Cluster::formed(1).unwrap();
    let mut put = cluster.cli(1).command(&["fs", "put", "-", "/stream"]);
    let mut put = put.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Standard input stays open: the put can only end because it is interrupted.
    put.stdin.as_mut().unwrap().write_all(&noise(20 << 20)).unwrap();

    interrupt(&put);

    assert_eq!(put.wait().unwrap().code(), Some(130));
    assert_eq!(cluster.cli(1).ok(&["fs", "ls", "/"]).unwrap(), b"");
}

/// Waits until a pipe holds as much as it can.
fn wait_until_full(reader: &PipeReader) {
    let held = || ioctl_fionread(reader).unwrap();
    wait_for("a full pipe", DEADLINE, || if held() >= 65_536 { Ok(()) } else { Err(held()) }).unwrap();
}

#[test]
fn a_signal_ends_a_cat_whose_reader_does_not_read() {
    let (cluster, _) = cluster_with_big_file();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut cat = cluster.cli(1).command(&["fs", "cat", "/big"]).stdout(writer).spawn().unwrap();
    wait_until_full(&reader);

    kill_process(Pid::from_child(&cat), Signal::TERM).unwrap();

    let ended = wait_for("the end of the cat", Duration::from_secs(10), || cat.try_wait().unwrap().ok_or("it runs"));
    if ended.is_err() {
        cat.kill().unwrap();
        cat.wait().unwrap();
    }
    assert_eq!(ended.unwrap().code(), Some(143));
}

#[test]
fn a_cluster_whose_admin_cannot_be_kept_is_not_made() {
    let cluster = Cluster::start(1).unwrap();
    let home = configuration_of(&cluster);
    fs::create_dir_all(home.join("holdfast")).unwrap();
    // The files of a new context go into a folder of its name.
    fs::write(home.join("holdfast/holdfast"), b"in the way").unwrap();
    let init = ["cluster", "init", "--first-nodes", "1"];

    let refused = cluster.cli(1).run(&init).unwrap();
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("holdfast/holdfast"), "{}", refused.stderr);

    fs::remove_file(home.join("holdfast/holdfast")).unwrap();
    cluster.cli(1).ok(&init).unwrap();
}

/// Where the command lines of a cluster keep their configuration.
fn configuration_of(cluster: &Cluster) -> PathBuf {
    cluster.path("home/config")
}

#[test]
fn one_path_that_fails_does_not_keep_the_others_from_their_turn() {
    let cluster = Cluster::formed(1).unwrap();
    let (cli, path) = (cluster.cli(1), |name: &str| shown(&cluster.path(name)));
    for name in ["a", "b"] {
        fs::write(cluster.path(name), name).unwrap();
    }

    let put = cli.run(&["fs", "put", &path("a"), &path("missing"), &path("b"), "/"]).unwrap();
    assert_eq!(put.code, Some(1), "{}", put.stderr);
    assert!(put.stderr.contains("missing"), "{}", put.stderr);
    assert_eq!(cli.ok(&["fs", "ls", "/"]).unwrap(), b"a\nb\n");

    let cat = cli.run(&["fs", "cat", "/a", "/missing", "/b"]).unwrap();
    assert_eq!((cat.code, &cat.stdout[..]), (Some(1), &b"ab"[..]));
    let json = cli.run(&["--json", "fs", "stat", "/missing", "/b"]).unwrap();
    assert!(json.stderr.starts_with(r#"{"warning":{"message":"/missing: "#), "{}", json.stderr);
    assert_eq!(json.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1);

    fs::create_dir(cluster.path("back")).unwrap();
    let get = cli.run(&["fs", "get", "/missing", "/b", &path("back")]).unwrap();
    assert_eq!((get.code, fs::read(cluster.path("back/b")).unwrap()), (Some(1), b"b".to_vec()));
    assert_eq!(cli.run(&["fs", "rm", "/a", "/missing", "/b"]).unwrap().code, Some(1));
    assert_eq!(cli.ok(&["fs", "ls", "/"]).unwrap(), b"");
    // A lone path tells by its exit code what was wrong.
    assert_eq!(cli.run(&["fs", "rm", "/missing"]).unwrap().code, Some(3));
}

#[test]
fn a_file_is_not_copied_into_a_folder_that_is_not_there() {
    let cluster = Cluster::formed(1).unwrap();
    fs::write(cluster.path("a"), b"a").unwrap();
    cluster.cli(1).ok(&["fs", "put", &shown(&cluster.path("a")), "/a"]).unwrap();
    let get = cluster.cli(1).run(&["fs", "get", "/a", &shown(&cluster.path("misspelt/a"))]).unwrap();
    assert_eq!(get.code, Some(3), "{}", get.stderr);
    assert!(!cluster.path("misspelt").exists());
}

#[test]
fn odd_names_and_kinds_come_back() {
    let cluster = Cluster::formed(1).unwrap();
    let (tree, back) = (cluster.path("tree"), cluster.path("back"));
    fs::create_dir(&tree).unwrap();
    let names: [&[u8]; 7] = [b"\xff\xfe", b"new\nline", b"-dash", &[b'x'; 255], b"\x1b[31mred", b" ", b"empty"];
    for name in names {
        let content = if name == b"empty" { &b""[..] } else { name };
        fs::write(tree.join(OsStr::from_bytes(name)), content).unwrap();
    }
    fs::File::create(tree.join("hole")).unwrap().set_len(1 << 30).unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();
    let mut deep = tree.join("deep");
    for _ in 0..15 {
        deep = deep.join("d".repeat(250));
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("leaf"), b"leaf").unwrap();
    let fifo = Command::new("mkfifo").arg(tree.join("fifo")).status().unwrap();
    assert!(fifo.success());
    let _listener = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    let device = Command::new("mknod").arg(tree.join("null")).args(["c", "1", "3"]).output().unwrap();
    let may_make_devices = device.status.success();

    let put = cluster.cli(1).run(&["--json", "fs", "put", "-r", &shown(&tree), "/tree"]).unwrap();
    assert_eq!(put.code, Some(0), "{}", put.stderr);
    let summary = String::from_utf8(put.stdout).unwrap();
    let special = if may_make_devices { 3 } else { 2 };
    assert!(summary.contains(&format!(r#""special_files":{special}"#)), "{summary}");
    cluster.cli(1).ok(&["fs", "get", "-r", "/tree", &shown(&back)]).unwrap();

    let differences = compare(&tree, &back, CompareOptions::default()).unwrap().differences;
    assert!(differences.is_empty(), "{differences:?}");
    let stat = cluster.cli(1).ok(&["fs", "stat", "/tree/fifo"]).unwrap();
    assert!(String::from_utf8_lossy(&stat).contains("pipe"));
    assert!(fs::metadata(back.join("hole")).unwrap().blocks() < 100);

    let listed = cluster.cli(1).ok(&["fs", "ls", "/tree"]).unwrap();
    assert!(listed.windows(2).any(|bytes| bytes == b"\xff\xfe"), "a pipe gets every byte");
    let on_terminal = cluster.cli(1).on_terminal(80, &["fs", "ls", "/tree"]).output().unwrap().stdout;
    assert!(!on_terminal.contains(&0x1b), "a terminal is not told what to do");
    assert!(String::from_utf8_lossy(&on_terminal).contains(r"\x1b[31mred"));
}

/// A command line of an ordinary user, to whom the way to the socket is opened; it is root's alone otherwise.
fn as_nobody(cluster: &Cluster, arguments: &[&str]) -> Command {
    for path in [cluster.folder().to_owned(), cluster.path("n1"), cluster.path("n1/admin.sock")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let command = cluster.cli(1).command(arguments);
    let mut as_nobody = Command::new("setpriv");
    as_nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(command.get_program());
    as_nobody.args(command.get_args());
    as_nobody
}

#[test]
fn a_directory_that_cannot_be_made_does_not_keep_the_rest_from_coming() {
    if !rustix_is_root() {
        testkit::skip("only root can become another user");
        return;
    }
    let cluster = Cluster::formed(1).unwrap();
    let (tree, theirs) = (cluster.path("tree"), cluster.path("theirs"));
    for folder in ["a", "b", "c"] {
        fs::create_dir_all(tree.join(folder)).unwrap();
        fs::write(tree.join(folder).join("file"), folder).unwrap();
    }
    cluster.cli(1).ok(&["fs", "put", "-r", &shown(&tree), "/tree"]).unwrap();
    // What has the name of one is another's.
    fs::create_dir_all(theirs.join("tree/b")).unwrap();
    for folder in [&theirs, &theirs.join("tree")] {
        chown(folder, Some(65534), Some(65534)).unwrap();
    }

    let mut get = as_nobody(&cluster, &["fs", "get", "-r", "/tree", &shown(&theirs)]);
    let output = get.env("HOME", &theirs).output().unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("holdfast: cannot make /tree/b: ") && said.lines().count() == 2, "{said}");
    for folder in ["a", "c"] {
        assert_eq!(fs::read(theirs.join("tree").join(folder).join("file")).unwrap(), folder.as_bytes());
    }
}

#[test]
fn an_ordinary_user_is_told_once_what_could_not_be_set() {
    if !rustix_is_root() {
        testkit::skip("only root can become another user");
        return;
    }
    let cluster = Cluster::formed(1).unwrap();
    let tree = cluster.path("tree");
    fs::create_dir(&tree).unwrap();
    for (number, mode) in [0o640, 0o4755, 0o444].into_iter().enumerate() {
        let file = tree.join(format!("f{number}"));
        fs::write(&file, b"content").unwrap();
        chown(&file, Some(1234), Some(1234)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
    cluster.cli(1).ok(&["fs", "put", "-r", &shown(&tree), "/tree"]).unwrap();
    let theirs = cluster.path("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(65534), Some(65534)).unwrap();

    let mut get = as_nobody(&cluster, &["fs", "get", "-r", "/tree", &shown(&theirs.join("tree"))]);
    let output = get.env("HOME", &theirs).output().unwrap();

    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "3 files, 1 directory, 21 B; not permitted here: 4 owners, 1 set-id bit");
    let modes = ["f0", "f1", "f2"].map(|name| theirs.join("tree").join(name).metadata().unwrap().mode() & 0o7777);
    assert_eq!(modes, [0o640, 0o755, 0o444], "a set-id bit would lend the wrong user's rights");
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Types at a terminal, each line when its question is there, and gives what the terminal showed, and the exit code.
fn converse(mut on_terminal: Command, conversation: &[(&str, &[u8])]) -> (String, Option<i32>) {
    let mut process = on_terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut typing, mut screen) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
    let mut seen = Vec::new();
    for (question, answer) in conversation {
        let from = seen.len();
        while !String::from_utf8_lossy(&seen[from..]).contains(question) {
            let mut byte = [0];
            assert_eq!(
                screen.read(&mut byte).unwrap(),
                1,
                "{question:?} was not asked: {}",
                String::from_utf8_lossy(&seen)
            );
            seen.push(byte[0]);
        }
        typing.write_all(answer).unwrap();
    }
    screen.read_to_end(&mut seen).unwrap();
    (String::from_utf8_lossy(&seen).into_owned(), process.wait().unwrap().code())
}

#[test]
fn a_passphrase_is_asked_for_twice_and_never_shown() {
    let cluster = Cluster::formed(1).unwrap();
    fs::create_dir(cluster.path("repository")).unwrap();
    let url = format!("file://{}", shown(&cluster.path("repository")));
    let add = cluster.cli(1).on_terminal(200, &["site", "add", "cloud", &url]);
    let typed: &[u8] = b"correct horse battery\n";

    let (screen, code) = converse(add, &[("Passphrase: ", typed), ("The same again: ", b"correct house battery\n")]);
    assert_eq!(code, Some(2), "{screen}");
    assert!(screen.contains("the two are not the same"), "{screen}");

    let add = cluster.cli(1).on_terminal(200, &["site", "add", "cloud", &url]);
    let (screen, code) = converse(add, &[("Passphrase: ", typed), ("The same again: ", typed)]);
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("horse"), "{screen}");

    let list = ["repo", "list", "--url", &url];
    let (screen, code) = converse(cluster.cli(1).on_terminal(200, &list), &[("Passphrase: ", b"wrong passphrase\n")]);
    assert_eq!(code, Some(9), "{screen}");
    // Ctrl-C at the question: the terminal shows again what is typed.
    let ask = cluster.cli(1).on_terminal_then(200, &list, "code=$?; stty -a | grep -wo -e '-*echo'; exit $code");
    let (screen, code) = converse(ask, &[("Passphrase: ", b"\x03")]);
    assert_eq!(code, Some(130), "{screen}");
    assert!(screen.trim_end().ends_with("\necho"), "{screen:?}");
}

#[test]
fn a_backup_is_listed_as_the_cluster_is_and_a_site_in_use_stays() {
    let cluster = Cluster::formed(1).unwrap();
    let (cli, path) = (cluster.cli(1), |name: &str| shown(&cluster.path(name)));
    fs::create_dir_all(cluster.path("tree/below")).unwrap();
    fs::write(cluster.path("tree/below/file"), b"content").unwrap();
    symlink("below/file", cluster.path("tree/link")).unwrap();
    fs::write(cluster.path("passphrase"), b"correct horse battery staple").unwrap();
    fs::create_dir(cluster.path("repository")).unwrap();
    let url = format!("file://{}", path("repository"));
    cli.ok(&["fs", "mkdir", "/a"]).unwrap();
    cli.ok(&["fs", "put", "-r", &path("tree"), "/a/tree"]).unwrap();
    cli.ok(&["site", "add", "cloud", &url, "--passphrase-file", &path("passphrase")]).unwrap();
    cli.ok(&["repo", "kit", "cloud", "--passphrase-file", &path("passphrase"), "--output", &path("kit")]).unwrap();
    cli.ok(&["policy", "create", "daily", "--site", "cloud", "/a/tree"]).unwrap();
    assert_eq!(cli.run(&["backup", "status"]).unwrap().code, Some(3), "there is none yet");
    cli.ok(&["backup", "run", "daily"]).unwrap();
    assert_eq!(cli.json(&["backup", "status"]).unwrap()["phase"], "succeeded");

    for options in [&["-lR"][..], &["-l"], &["-R"], &[]] {
        for listed in ["/a/tree", "/a/tree/below/file", "/a/tree/"] {
            let in_cluster = cli.ok(&[&["fs", "ls"], options, &[listed]].concat()).unwrap();
            let in_backup = cli.ok(&[&["repo", "ls", "--kit", &path("kit")], options, &[listed]].concat()).unwrap();
            let [in_cluster, in_backup] = [in_cluster, in_backup].map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(in_cluster, in_backup, "{options:?} {listed}");
        }
    }
    assert!(
        String::from_utf8(cli.ok(&["fs", "ls", "-l", "/a/tree"]).unwrap()).unwrap().ends_with("link -> below/file\n")
    );
    for above in ["/", "/a"] {
        assert_eq!(cli.ok(&["repo", "ls", "--kit", &path("kit"), above]).unwrap(), b"/a/tree\n");
    }
    assert_eq!(cli.run(&["repo", "ls", "--kit", &path("kit"), "/b"]).unwrap().code, Some(3));

    let refused = cli.run(&["site", "remove", "cloud"]).unwrap();
    assert_eq!(refused.code, Some(4));
    assert!(refused.stderr.contains("daily"), "{}", refused.stderr);
    cli.ok(&["policy", "delete", "daily"]).unwrap();
    cli.ok(&["site", "remove", "cloud"]).unwrap();
    assert_eq!(cli.run(&["site", "test", "cloud"]).unwrap().code, Some(3));
    cli.ok(&["repo", "kit", "--verify", &path("kit")]).unwrap();
}

#[test]
fn an_error_that_nobody_reads_still_ends_with_its_exit_code() {
    let cluster = Cluster::formed(1).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = cluster.cli(1).command(&["fs", "ls", "/nowhere"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(3), "{status:?}");
}

#[test]
fn an_interrupted_restore_leaves_no_half_file_and_nothing_temporary() {
    let (cluster, _) = cluster_with_big_file();
    let (cli, path) = (cluster.cli(1), |name: &str| shown(&cluster.path(name)));
    for folder in ["repository", "temporary"] {
        fs::create_dir(cluster.path(folder)).unwrap();
    }
    fs::write(cluster.path("passphrase"), b"correct horse battery staple").unwrap();
    let url = format!("file://{}", path("repository"));
    cli.ok(&["site", "add", "cloud", &url, "--passphrase-file", &path("passphrase")]).unwrap();
    cli.ok(&["repo", "kit", "cloud", "--passphrase-file", &path("passphrase"), "--output", &path("kit")]).unwrap();
    cli.ok(&["policy", "create", "daily", "--site", "cloud", "/big"]).unwrap();
    cli.ok(&["backup", "run", "daily"]).unwrap();
    let mut restore = cli.command(&["restore", "--kit", &path("kit"), &path("restored")]);
    let restore = restore.env("TMPDIR", cluster.path("temporary")).stdout(Stdio::null()).stderr(Stdio::piped());
    let restore = restore.spawn().unwrap();
    let entries = |folder: &str| fs::read_dir(cluster.path(folder)).map_or(0, Iterator::count);
    wait_until_it_writes(&restore);

    interrupt(&restore);

    let output = restore.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((entries("restored"), entries("temporary")), (0, 0));
}
