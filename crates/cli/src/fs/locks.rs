use std::ffi::OsString;

use clap::Args;
use client::{FilePath, LastLink, NamedLock};
use serde_json::{Value, json};
use types::{Lock, LockKind, LockRange};

use super::{for_each_path, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::text;

/// Show who has locked files, or ranges of them.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The files or directories
    #[arg(required = true)]
    paths: Vec<OsString>,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let mut rows = Vec::new();
    let done = for_each_path(&arguments.paths, invocation.output.format(), async |text| {
        let path = path(text)?;
        let lin = client.resolve(&path, LastLink::Follow, None).await?.lin;
        let locks = client.locks(lin).await.map_err(CliError::at(&path))?;
        rows.extend(locks.iter().map(|lock| (cells(&path, lock), value(&path, lock))));
        Ok(())
    })
    .await;
    invocation.output.table(&["PATH", "KIND", "MODE", "BYTES", "SESSION", "OWNER", "WHO"], &rows)?;
    done
}

const fn kind(kind: LockKind) -> &'static str {
    match kind {
        LockKind::Range => "range",
        LockKind::Whole => "whole",
    }
}

/// The byte after the last one, unless the lock has no end.
fn end(range: LockRange) -> Option<u64> {
    (range.end < LockRange::ALL.end).then_some(range.end)
}

fn cells(path: &FilePath, named: &NamedLock) -> Vec<String> {
    let Lock { kind: kind_of, owner, range, mode } = named.taken.lock;
    let last = end(range).map_or_else(String::new, |end| end.saturating_sub(1).to_string());
    vec![
        path.to_string(),
        kind(kind_of).to_owned(),
        mode.to_string(),
        format!("{}-{last}", range.start),
        named.taken.session.to_string(),
        owner.to_string(),
        named.label.clone(),
    ]
}

fn value(path: &FilePath, named: &NamedLock) -> Value {
    let Lock { kind: kind_of, owner, range, mode } = named.taken.lock;
    json!({
        "path": text::name(path.as_bytes()),
        "kind": kind(kind_of),
        "mode": mode.to_string(),
        "start": range.start,
        "end": end(range),
        "session": named.taken.session,
        "owner": owner,
        "label": named.label,
    })
}

#[cfg(test)]
mod tests {
    use types::{LockMode, SessionId, TakenLock};

    use super::*;

    fn named(kind: LockKind, range: LockRange) -> NamedLock {
        let lock = Lock { kind, owner: 7, range, mode: LockMode::Shared };
        NamedLock { taken: TakenLock { session: SessionId(12), lock }, label: "gateway".into() }
    }

    #[test]
    fn a_lock_is_shown_with_its_last_byte_if_it_has_one() {
        let path = FilePath::new("/a").unwrap();
        let range = named(LockKind::Range, LockRange { start: 10, end: 20 });
        assert_eq!(cells(&path, &range), ["/a", "range", "shared", "10-19", "12", "7", "gateway"]);
        assert_eq!(value(&path, &range)["end"], 20);
        let whole = named(LockKind::Whole, LockRange::ALL);
        assert_eq!(cells(&path, &whole)[1..4], ["whole", "shared", "0-"]);
        assert_eq!(value(&path, &whole)["end"], Value::Null);
    }
}
