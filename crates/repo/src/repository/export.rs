//! Reading the tables without us: SQL for DuckDB.

use std::fmt::Write;

use super::{Listed, Repository};
use crate::rows::Table;
use crate::run::{ColumnRow, RunReference};
use crate::{BlockRow, EntryRow, ExtentRow, InodeRow, ObjectRow};

impl Repository<Listed> {
    /// Gives statements that let DuckDB read every table as of the newest commit: the key of each run, a view per table
    /// that unites its runs, and the table `voids`. `FORMAT.md` has the SQL that resolves versions over them.
    ///
    /// The text holds keys: whoever has it reads names and attributes, and no content. `folder` is where the repository
    /// lies for DuckDB, a path or a URL without a slash at its end.
    #[must_use]
    pub fn duckdb_statements(&self, folder: &str) -> String {
        let mut text = String::from("-- Holdfast: these statements hold keys.\n");
        // DuckDB 2.0.0 fails with "Computed AES tag differs" when it filters within an encrypted row group as it reads,
        // whoever wrote the file; filtering afterwards gives the same rows.
        line(
            &mut text,
            format_args!("SET disabled_optimizers = 'filter_pushdown,join_filter_pushdown,statistics_propagation';"),
        );
        let Some(head) = self.head() else { return text };
        for run in &head.runs {
            let key = base64(run.key(self.keys()).expose());
            line(&mut text, format_args!("PRAGMA add_parquet_key({}, '{key}');", quoted(&key_name(run))));
        }
        for table in Table::ALL {
            let runs = head.runs.iter().filter(|run| run.table == table);
            let reads: Vec<String> = runs.map(|run| read(run, folder)).collect();
            let rows = if reads.is_empty() { no_rows(table) } else { reads.join("\n  UNION ALL ") };
            line(&mut text, format_args!("CREATE OR REPLACE VIEW {table} AS\n  {rows};"));
        }
        line(&mut text, format_args!("CREATE OR REPLACE TABLE voids (epoch UBIGINT);"));
        for epoch in &head.voids {
            line(&mut text, format_args!("INSERT INTO voids VALUES ({epoch});"));
        }
        text
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes all text");
}

fn read(run: &RunReference, folder: &str) -> String {
    let (path, key) = (quoted(&format!("{folder}/{}", run.name())), quoted(&key_name(run)));
    format!("SELECT * FROM read_parquet({path}, encryption_config = {{footer_key: {key}}})")
}

/// A run's name, short enough to be read: table and what makes its writer unique.
fn key_name(run: &RunReference) -> String {
    format!("{}/{:02x}/{}", run.table, run.level, run.writer)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A view of the table's columns without rows, for a table that has no run yet.
fn no_rows(table: Table) -> String {
    let schema = match table {
        Table::Inodes => InodeRow::SCHEMA,
        Table::Entries => EntryRow::SCHEMA,
        Table::Extents => ExtentRow::SCHEMA,
        Table::Blocks => BlockRow::SCHEMA,
        Table::Objects => ObjectRow::SCHEMA,
    };
    let columns = schema.lines().filter_map(|line| line.trim().strip_prefix("required ")).filter_map(column);
    format!("SELECT {} WHERE false", columns.collect::<Vec<_>>().join(", "))
}

/// A column of the schema as SQL.
fn column(text: &str) -> Option<String> {
    let (kind, rest) = text.split_once(' ')?;
    let name = rest.split([' ', ';']).next()?;
    let kind = match kind {
        "boolean" => "BOOLEAN",
        "int32" => "UINTEGER",
        "int64" if rest.contains("INTEGER(64,false)") => "UBIGINT",
        "int64" => "BIGINT",
        _ if rest.contains("STRING") => "VARCHAR",
        _ => "BLOB",
    };
    Some(format!("NULL::{kind} AS {name}"))
}

/// Base64 of a key (RFC 4648, section 4): DuckDB takes a key as text.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number =
            group.iter().enumerate().fold(0, |number, (place, byte)| number | u32::from(*byte) << (16 - 8 * place));
        for place in 0..4 {
            let digit = usize::try_from(number >> (18 - 6 * place) & 63).ok().and_then(|digit| DIGITS.get(digit));
            let digit = digit.filter(|_| place <= group.len()).map_or('=', |digit| char::from(*digit));
            text.push(digit);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let examples =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, text) in examples {
            assert_eq!(base64(plain.as_bytes()), text);
        }
    }

    #[test]
    fn a_table_without_runs_still_has_its_columns() {
        let sql = no_rows(Table::Objects);
        assert!(
            sql.starts_with("SELECT NULL::UBIGINT AS object, NULL::VARCHAR AS name, NULL::UBIGINT AS size"),
            "{sql}"
        );
        assert_eq!(no_rows(Table::Inodes).matches("NULL::").count(), 19);
    }
}
