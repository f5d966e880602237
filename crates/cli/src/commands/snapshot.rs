//! `holdfast snapshot`: states of the file system that stay.

use clap::Subcommand;
use serde_json::{Value, json};
use types::{Snapshot, SnapshotState};

use crate::error::CliError;
use crate::invocation::Invocation;
use crate::text;

/// What to do with snapshots.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take a snapshot
    Create {
        /// Its name
        name: String,
    },
    /// List snapshots
    List,
    /// Delete a snapshot; its space comes back in the background
    Delete {
        /// Its name
        name: String,
    },
}

pub async fn run(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    match command {
        Command::Create { name } => {
            let made = client.create_snapshot(&name).await?;
            let line = format!("snapshot {} at revision {}", made.name, made.revision);
            invocation.output.result(line, &value(&made))
        }
        Command::List => {
            let rows: Vec<_> =
                client.snapshots().await?.iter().map(|snapshot| (cells(snapshot), value(snapshot))).collect();
            invocation.output.table(&["NAME", "CREATED", "REVISION", "STATE", "PINS"], &rows)
        }
        Command::Delete { name } => {
            let found = client.snapshots().await?.into_iter();
            let found = found.filter(|snapshot| snapshot.state == SnapshotState::Live).find(|found| found.name == name);
            let missing = || CliError::NoRecord { what: "snapshot", name: name.clone() };
            Ok(client.delete_snapshot(found.ok_or_else(missing)?.id).await?)
        }
    }
}

const fn state(state: SnapshotState) -> &'static str {
    match state {
        SnapshotState::Live => "live",
        SnapshotState::Dying => "dying",
    }
}

fn cells(snapshot: &Snapshot) -> Vec<String> {
    vec![
        snapshot.name.clone(),
        text::time(snapshot.created),
        snapshot.revision.to_string(),
        state(snapshot.state).to_owned(),
        snapshot.pins.to_string(),
    ]
}

fn value(snapshot: &Snapshot) -> Value {
    json!({
        "id": snapshot.id,
        "name": snapshot.name,
        "revision": snapshot.revision,
        "created": text::decimal(snapshot.created),
        "state": state(snapshot.state),
        "pins": snapshot.pins,
    })
}
