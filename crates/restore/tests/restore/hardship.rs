//! Restores where the disk is too small or the user is not root: each runs in a process of its own that has only that.

use std::path::PathBuf;
use std::process::Command;

use restore::{Existing, LocalTarget, RestoreError, TargetError};
use types::ErrorKind;

use crate::world::{Options, World, mode_of};

/// Says that a test runs in its own process, and where the small disk is.
const INSIDE: &str = "HOLDFAST_TEST_INSIDE";

/// Runs a test again, by a shell command whose `"$@"` is that test. Machines that do not allow the command's means leave
/// the test out; everything after `begins` is the test's own outcome.
fn run_inside(test: &str, command: &str, inside: &std::path::Path) {
    let script = format!("{command} echo begins; exec \"$@\"");
    let this = std::env::current_exe().unwrap();
    let mut shell = Command::new("unshare");
    shell.args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"]).arg(this).args([
        "--exact",
        test,
        "--nocapture",
    ]);
    let Ok(output) = shell.env(INSIDE, inside).output() else {
        return testkit::skip("there is no unshare");
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if text.contains("begins") {
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    } else {
        testkit::skip(&format!("this machine does not let us: {}", text.trim()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing_half_written() {
    let Some(disk) = std::env::var_os(INSIDE).map(PathBuf::from) else {
        let folder = tempfile::tempdir().unwrap();
        let command = "mount -t tmpfs -o size=1m tmpfs \"$HOLDFAST_TEST_INSIDE\" &&";
        let test = "hardship::a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing_half_written";
        return run_inside(test, command, folder.path());
    };
    let world = World::new().await;
    std::os::unix::fs::symlink(&disk, world.out()).unwrap();
    let large = disk.join("srv/data/d/large");
    std::fs::create_dir_all(large.parent().unwrap()).unwrap();
    std::fs::write(&large, "what was there").unwrap();

    let plan = world.plan(None, Options::Usual).await.unwrap();
    let target = LocalTarget::open(&world.out(), Existing::Overwrite).unwrap();
    let error = restore::run(&plan, target, std::sync::Arc::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(matches!(&error, RestoreError::Target(TargetError::Entry { .. })), "{error:?}");
    assert!(error.to_string().contains("/srv/data/d/"), "{error}");
    assert_eq!(std::fs::read(&large).unwrap(), b"what was there");
    let mut waiting = vec![disk];
    while let Some(folder) = waiting.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let stat = path.symlink_metadata().unwrap();
            assert!(!path.to_string_lossy().contains(".holdfast-"), "{}", path.display());
            match path.file_name().unwrap().to_str().unwrap() {
                _ if stat.is_dir() => waiting.push(path),
                small if small.starts_with("small-") => assert_eq!(std::fs::read(&path).unwrap().len(), 5000),
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_fills_directories_that_nobody_may_write_into() {
    use std::os::unix::fs::PermissionsExt;
    if std::env::var_os(INSIDE).is_none() {
        let test = "hardship::an_ordinary_user_fills_directories_that_nobody_may_write_into";
        // Without capabilities root is as any other user that owns the files.
        let command = "set -- setpriv --inh-caps=-all --bounding-set=-all \"$@\";";
        return run_inside(test, command, &std::env::temp_dir());
    }
    let world = World::new().await;
    let (_, first) = world.restore(Some("/srv/data"), Existing::Refuse, Options::Usual).await;
    let out = world.out();
    let set_mode = |path: &str, mode| {
        std::fs::set_permissions(out.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    ["", "d", "d/deep"].into_iter().for_each(|path| set_mode(path, 0o700));
    std::fs::remove_file(out.join("d/large")).unwrap();
    ["d/deep", "d", ""].into_iter().for_each(|path| set_mode(path, 0o500));
    assert!(std::fs::write(out.join("d/x"), "x").is_err(), "this process has no rights of root");
    let (_, again) = world.restore(Some("/srv/data"), Existing::Overwrite, Options::Usual).await;
    assert_eq!((first.failed, again.failed), (0, 0), "{:?} {:?}", first.failures, again.failures);
    assert_eq!((again.directories, again.files, again.files_kept), (3, 44, 42));
    assert_eq!(out.metadata().unwrap().permissions().mode() & 0o7777, mode_of(1));
}
