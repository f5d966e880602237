//! `holdfast quota`: what users and directories may have.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use clap::{Args, Subcommand};
use client::{Client, FilePath, LastLink, NamedQuota, printable};
use serde_json::{Value, json};
use types::{Account, Limits, Quota, QuotaState};

use crate::error::CliError;
use crate::invocation::Invocation;
use crate::text;

/// What to do with quotas. A quota counts the lengths of files, holes included, and files of every kind; what only
/// snapshots keep does not count.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set a quota, in place of the one that is there; what is not given is not limited
    Set {
        #[command(flatten)]
        whose: Whose,
        /// The most bytes: a number, or one with KiB, MiB, GiB or TiB
        #[arg(long, value_parser = parse_bytes)]
        bytes: Option<u64>,
        /// The most files of every kind
        #[arg(long)]
        inodes: Option<u64>,
    },
    /// Show a quota and what is used of it
    Show {
        #[command(flatten)]
        whose: Whose,
    },
    /// List quotas
    List,
    /// Remove a quota
    Remove {
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose quota it is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Whose {
    /// A directory: everything below it counts
    path: Option<OsString>,
    /// A user, by number: everything counts that the user owns
    #[arg(long, value_name = "UID")]
    user: Option<u32>,
}

pub async fn run(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let quotas = match command {
        Command::Set { whose, bytes, inodes } => {
            let account = whose.account(&client).await?;
            vec![client.set_quota(account, Limits { bytes, inodes }).await?]
        }
        Command::Show { whose } => vec![client.quota(whose.account(&client).await?).await?],
        Command::List => client.quotas().await?,
        Command::Remove { whose } => {
            let account = whose.account(&client).await?;
            return Ok(client.remove_quota(account).await?);
        }
    };
    let rows: Vec<_> = quotas.iter().map(|quota| (cells(quota), value(quota))).collect();
    invocation.output.table(&["OF", "BYTES", "ALLOWED", "INODES", "ALLOWED", "STATE"], &rows)
}

impl Whose {
    async fn account(&self, client: &Client) -> Result<Account, CliError> {
        match (&self.path, self.user) {
            (Some(path), _) => {
                let path = FilePath::new(Bytes::copy_from_slice(path.as_bytes()))?;
                Ok(Account::Directory(client.resolve(&path, LastLink::Follow, None).await?.lin))
            }
            (None, Some(uid)) => Ok(Account::User(uid)),
            (None, None) => Err(CliError::Usage { message: "name a directory, or a user with --user".to_owned() }),
        }
    }
}

/// A number of bytes with its unit.
fn parse_bytes(typed: &str) -> Result<u64, String> {
    let digits = typed.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = typed.strip_prefix(digits).unwrap_or_default();
    let shift = match unit {
        "" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        "TiB" => Some(40),
        _ => None,
    };
    let bytes = shift.zip(digits.parse::<u64>().ok()).and_then(|(shift, count)| count.checked_mul(1 << shift));
    bytes.ok_or_else(|| "a number of bytes, or one with KiB, MiB, GiB or TiB, such as 10GiB".to_owned())
}

const fn state(state: QuotaState) -> &'static str {
    match state {
        QuotaState::Counting => "counting",
        QuotaState::Enforced => "enforced",
    }
}

fn cells(NamedQuota { quota, path }: &NamedQuota) -> Vec<String> {
    let Quota { account, limits, used_bytes, used_inodes, .. } = quota;
    let whose = if path.is_empty() { account.to_string() } else { printable(path) };
    let allowed = |limit: Option<String>| limit.unwrap_or_else(|| "-".to_owned());
    vec![
        whose,
        text::bytes(*used_bytes),
        allowed(limits.bytes.map(text::bytes)),
        used_inodes.to_string(),
        allowed(limits.inodes.map(|limit| limit.to_string())),
        state(quota.state).to_owned(),
    ]
}

fn value(NamedQuota { quota, path }: &NamedQuota) -> Value {
    let mut value = json!({
        "bytes_used": quota.used_bytes,
        "bytes_allowed": quota.limits.bytes,
        "inodes_used": quota.used_inodes,
        "inodes_allowed": quota.limits.inodes,
        "state": state(quota.state),
    });
    if let Some(object) = value.as_object_mut() {
        match quota.account {
            Account::User(uid) => object.insert("user".to_owned(), uid.into()),
            Account::Directory(lin) => {
                object.insert("path".to_owned(), text::name(path));
                object.insert("directory".to_owned(), json!(lin))
            }
        };
    }
    value
}

#[cfg(test)]
mod tests {
    use types::Lin;

    use super::*;

    #[test]
    fn a_number_of_bytes_may_have_a_binary_unit_and_no_other() {
        assert_eq!(parse_bytes("0"), Ok(0));
        assert_eq!(parse_bytes("10GiB"), Ok(10 << 30));
        assert_eq!(parse_bytes("3KiB"), Ok(3072));
        for wrong in ["", "GiB", "10GB", "10 GiB", "-1", "1.5GiB", "99999999TiB", "1é"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_quota_is_told_with_its_path_or_its_user() {
        let limits = Limits { bytes: Some(2048), inodes: None };
        let state = QuotaState::Enforced;
        let quota = Quota { account: Account::User(7), limits, used_bytes: 1024, used_inodes: 3, state };
        let user = NamedQuota { quota, path: Bytes::new() };
        assert_eq!(cells(&user), ["user 7", "1.00 KiB", "2.00 KiB", "3", "-", "enforced"]);
        assert_eq!((&value(&user)["user"], &value(&user)["inodes_allowed"]), (&json!(7), &Value::Null));
        let account = Account::Directory(Lin(9));
        let directory = NamedQuota { quota: Quota { account, ..quota }, path: Bytes::from_static(b"/a\n") };
        assert!(!cells(&directory)[0].contains('\n'), "a terminal does not obey it");
        assert_eq!((&value(&directory)["path"], &value(&directory)["directory"]), (&json!("/a\n"), &json!(9)));
    }
}
