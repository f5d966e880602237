use serde_json::json;

use crate::error::CliError;
use crate::invocation::Invocation;
use crate::text;

pub async fn run(invocation: &mut Invocation) -> Result<(), CliError> {
    let usage = invocation.connect().await?.stat_fs().await?;
    let value = json!({
        "capacity_bytes": usage.capacity_bytes,
        "available_bytes": usage.available_bytes,
        "used_bytes": usage.used_bytes,
        "inodes": usage.inodes,
    });
    let row = vec![
        text::bytes(usage.capacity_bytes),
        text::bytes(usage.used_bytes),
        text::bytes(usage.available_bytes),
        usage.inodes.to_string(),
    ];
    invocation.output.table(&["CAPACITY", "USED", "AVAILABLE", "INODES"], &[(row, value)])
}
