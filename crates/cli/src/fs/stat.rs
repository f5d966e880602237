use std::ffi::OsString;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use client::{FilePath, Inode, LastLink, Parts};
use serde_json::{Value, json};
use types::FileKind;

use super::{At, for_each_path, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::text;

/// Show all that is known of a file.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The files; a symbolic link is shown itself
    #[arg(required = true)]
    paths: Vec<OsString>,
    #[command(flatten)]
    at: At,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let snapshot = arguments.at.find(&client).await?;
    let output = &mut invocation.output;
    for_each_path(&arguments.paths, output.format(), async |text| {
        let path = path(text)?;
        let found = client.resolve(&path, LastLink::Keep, snapshot).await?;
        let inode = client.describe(found.lin, Parts { xattrs: true, content: false }, snapshot).await?;
        output.result(lines(&path, &inode), &value(&path, &inode))
    })
    .await
}

fn value(path: &FilePath, inode: &Inode) -> Value {
    let mut value = text::attributes(&inode.attributes);
    let xattr = |(name, value): &(bytes::Bytes, bytes::Bytes)| json!({ "name": text::name(name), "value_base64": BASE64_STANDARD.encode(value) });
    if let Some(object) = value.as_object_mut() {
        object.insert("path".to_owned(), text::name(path.as_bytes()));
        object.insert("xattrs".to_owned(), inode.xattrs.iter().map(xattr).collect());
        if inode.attributes.kind == FileKind::Symlink {
            object.insert("target".to_owned(), text::name(&inode.target));
        }
        if let Some(device) = inode.device {
            object.insert("device".to_owned(), device.to_string().into());
        }
    }
    value
}

fn lines(path: &FilePath, inode: &Inode) -> String {
    let attributes = &inode.attributes;
    let mut lines = vec![
        format!("path    {path}"),
        format!("kind    {}", text::kind(attributes.kind)),
        format!("inode   {}, {} links", attributes.lin, attributes.nlink),
        format!("mode    {:04o} ({})", attributes.mode, text::mode(attributes)),
        format!("owner   {}:{}", attributes.uid, attributes.gid),
        format!("size    {} bytes", attributes.size),
        format!("access  {}", text::time(attributes.atime)),
        format!("modify  {}", text::time(attributes.mtime)),
        format!("change  {}", text::time(attributes.ctime)),
    ];
    if attributes.kind == FileKind::Symlink {
        lines.push(format!("target  {}", inode.target.escape_ascii()));
    }
    if let Some(device) = inode.device {
        lines.push(format!("device  {device}"));
    }
    for (name, value) in &inode.xattrs {
        lines.push(format!("xattr   {}={}", name.escape_ascii(), value.escape_ascii()));
    }
    lines.join("\n")
}
