use std::ffi::OsString;

use clap::Args;
use client::{LastLink, StatFs};
use serde_json::json;

use super::path;
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::text;

/// Show how full the file system is.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A directory: if what is in it counts for quotas, how full the tightest of them is
    directory: Option<OsString>,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let directory = match &arguments.directory {
        Some(text) => Some(client.resolve(&path(text)?, LastLink::Follow, None).await?.lin),
        None => None,
    };
    let StatFs { capacity_bytes, available_bytes, used_bytes, inodes, quota } = client.stat_fs(directory).await?;
    let value = json!({
        "capacity_bytes": capacity_bytes,
        "available_bytes": available_bytes,
        "used_bytes": used_bytes,
        "inodes": inodes,
        "quota": quota,
    });
    let row =
        vec![text::bytes(capacity_bytes), text::bytes(used_bytes), text::bytes(available_bytes), inodes.to_string()];
    invocation.output.table(&["CAPACITY", "USED", "AVAILABLE", "INODES"], &[(row, value)])
}
