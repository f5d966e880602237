//! `holdfast context`: the clusters that this configuration knows, and who we are there.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::context::{Context, Standing};
use crate::error::CliError;
use crate::invocation::Invocation;

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List contexts; the one that is used when none is named has a star
    List,
    /// Show a context
    Show {
        /// Its name
        name: String,
    },
    /// Use this context when none is named
    Use {
        /// Its name
        name: String,
    },
    /// Remove a context with its certificate and key; whoever has no other way in needs the socket of a node then
    Remove {
        /// Its name
        name: String,
    },
}

pub fn run(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    let all = match command {
        Command::List => invocation.choice.all()?,
        Command::Show { name } => {
            let found: Vec<_> = invocation.choice.all()?.into_iter().filter(|(other, ..)| *other == name).collect();
            if found.is_empty() {
                return Err(CliError::NoRecord { what: "context", name });
            }
            found
        }
        Command::Use { name } => return invocation.choice.make_current(&name),
        Command::Remove { name } => return invocation.choice.remove(&name),
    };
    let rows: Vec<_> = all.iter().map(|one| (cells(one), value(one))).collect();
    invocation.output.table(&["", "NAME", "CLUSTER", "NODES"], &rows)
}

fn cells((name, context, standing): &(String, Context, Standing)) -> Vec<String> {
    let star = if *standing == Standing::Current { "*" } else { "" };
    vec![star.to_owned(), name.clone(), context.cluster.clone(), context.endpoints.join(" ")]
}

fn value((name, context, standing): &(String, Context, Standing)) -> Value {
    json!({
        "name": name,
        "cluster": context.cluster,
        "endpoints": context.endpoints,
        "current": *standing == Standing::Current,
    })
}
