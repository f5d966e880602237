//! Others read the tables with the keys alone: DuckDB and PyArrow.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use repo::Repository;
use runtime::Files;
use types::{Epoch, Lin};

use crate::world::{SET, Tree, World};

/// The SQL of `FORMAT.md`, unchanged.
fn documented_sql() -> &'static str {
    let format = include_str!("../../FORMAT.md");
    let (_, rest) = format.split_once("```sql\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// Puts a repository's objects into a folder.
fn lay_out(world: &World, folder: &Path) {
    for (name, bytes) in world.memory.contents() {
        let path = folder.join(name);
        Files::real().create_dirs(path.parent().unwrap()).unwrap();
        Files::real().write_atomic(&path, &bytes, 0o600).unwrap();
    }
}

#[tokio::test]
async fn the_statements_name_every_run_and_its_key() {
    let (world, _) = World::with_two_backups(60).await;
    let repository = world.open().await.list().await.unwrap();
    let text = repository.duckdb_statements("/srv/it's");
    let runs = &repository.head().unwrap().runs;
    assert_eq!(text.matches("PRAGMA add_parquet_key(").count(), runs.len());
    for run in runs {
        assert!(text.contains(&format!("read_parquet('/srv/it''s/{}'", run.name())), "{text}");
    }
    assert_eq!(text.matches("CREATE OR REPLACE VIEW").count(), 5);
}

/// What a backup holds, one line a row, as the SQL below prints it.
async fn expected(repository: &Repository<repo::Listed>, epoch: u64, tree: &Tree) -> String {
    let backup = repository.at(SET, Epoch(epoch)).unwrap();
    let mut text = String::new();
    for (lin, facts) in tree.inodes() {
        let xattrs = "0006757365722e610000000200ff0006757365722e6200000000";
        writeln!(text, "inode {lin} {} 4294967295 2541 -3 {xattrs}", facts.size).unwrap();
    }
    for ((parent, name), lin) in &tree.entries {
        let name: String = name.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "entry {parent} {name} {lin}").unwrap();
    }
    for lin in tree.files.keys() {
        let mut extents = backup.extents_of(*lin).await.unwrap();
        while let Some(row) = extents.next().await.unwrap() {
            let extent = row.extent.unwrap();
            let object = backup.object(extent.location.object).await.unwrap();
            let name = repo::names::Name::Object(object.writer);
            writeln!(text, "extent {lin} {} {} {} {name}", row.offset, extent.length, extent.digest).unwrap();
        }
    }
    text
}

const PYTHON: &str = r#"
import sys, duckdb
statements, documented, epoch, folder = sys.argv[1:5]
db = duckdb.connect()
db.execute(open(statements).read())
db.execute(open(documented).read())
at = f"(3, {epoch})"
for row in db.execute(f"SELECT lin, size, uid, mode, mtime_s, lower(hex(xattrs)) FROM inodes_at{at} ORDER BY lin").fetchall():
    print("inode", *row)
for row in db.execute(f"SELECT parent, lower(hex(name)), lin FROM entries_at{at} ORDER BY parent, name").fetchall():
    print("entry", *row)
query = f"SELECT lin, file_offset, length, lower(hex(digest)), name FROM extents_at{at} JOIN objects USING (object) ORDER BY lin, file_offset"
for row in db.execute(query).fetchall():
    print("extent", *row)
"#;

const ARROW: &str = r#"
import sys, re, base64, duckdb
import pyarrow.parquet as pq, pyarrow.parquet.encryption as pe
statements = open(sys.argv[1]).read()
keys = dict(re.findall(r"add_parquet_key\('(.*?)', '(.*?)'\)", statements))
total = 0
for path, key in re.findall(r"read_parquet\('(.*?)', encryption_config = \{footer_key: '(.*?)'\}", statements):
    properties = pe.create_decryption_properties(base64.b64decode(keys[key]))
    total += pq.ParquetFile(path, decryption_properties=properties).read().num_rows
    try:
        pq.ParquetFile(path)
        sys.exit("it opens without a key")
    except OSError:
        pass
print(total)
"#;

#[tokio::test]
async fn duckdb_and_arrow_read_what_we_read() {
    let Ok(python) = std::env::var("HOLDFAST_PYTHON") else {
        return testkit::skip("HOLDFAST_PYTHON names no Python with duckdb and pyarrow; scripts/test makes one");
    };
    let (world, trees) = World::with_two_backups(61).await;
    let folder = tempfile::tempdir().unwrap();
    lay_out(&world, folder.path());
    let repository = world.open().await.list().await.unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        Files::real().write_atomic(&path, text.as_bytes(), 0o600).unwrap();
        path
    };
    let statements = path("statements.sql", &repository.duckdb_statements(folder.path().to_str().unwrap()));
    let documented = path("documented.sql", documented_sql());
    let run = |script: &str, arguments: &[&std::ffi::OsStr]| {
        let output = Command::new(&python).arg("-c").arg(script).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for (epoch, tree) in [("1", &trees[0]), ("2", &trees[1])] {
        let found = run(PYTHON, &[statements.as_ref(), documented.as_ref(), epoch.as_ref(), folder.path().as_ref()]);
        let wanted = expected(&repository, epoch.parse().unwrap(), tree).await;
        assert_eq!(found, wanted, "epoch {epoch}");
        assert!(wanted.lines().count() > 100 && tree.files.contains_key(&Lin((1 << 56) + 10)));
    }
    let rows: u64 = repository.head().unwrap().runs.iter().map(|run| run.rows).sum();
    assert_eq!(run(ARROW, &[statements.as_ref()]).trim(), rows.to_string());
}
