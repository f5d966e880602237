//! Lists of files, those of the cluster and those of a backup alike.

use serde_json::{Value, json};
use types::{Attributes, Device};

use crate::error::CliError;
use crate::output::{Format, Output};
use crate::text;

/// How much a list shows of each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The name.
    Short,
    /// Mode, links, owner, group, size and time too.
    Long,
}

/// A file in a list.
pub struct Listed<'a> {
    pub path: &'a [u8],
    /// What a list for people calls it.
    pub name: &'a [u8],
    pub attributes: &'a Attributes,
    /// Where a symbolic link leads to, if that is known.
    pub target: Option<&'a [u8]>,
    /// What a device stands for, if that is known.
    pub device: Option<Device>,
}

impl Listed<'_> {
    /// Shows it.
    pub fn show(&self, style: Style, output: &mut Output) -> Result<(), CliError> {
        if output.format() == Format::Json {
            return output.result("", &self.value());
        }
        if style == Style::Long {
            output.bytes(text::long(self.attributes, self.device).as_bytes())?;
        }
        output.name(self.name)?;
        if let (Style::Long, Some(target)) = (style, self.target) {
            output.bytes(b" -> ")?;
            output.name(target)?;
        }
        output.bytes(b"\n")
    }

    fn value(&self) -> Value {
        let mut value = text::attributes(self.attributes);
        if let Some(object) = value.as_object_mut() {
            let last = self.path.rsplit(|&byte| byte == b'/').find(|name| !name.is_empty());
            object.insert("path".to_owned(), text::name(self.path));
            object.insert("name".to_owned(), last.map_or(json!("/"), text::name));
            if let Some(target) = self.target {
                object.insert("target".to_owned(), text::name(target));
            }
            if let Some(device) = self.device {
                object.insert("device".to_owned(), device.to_string().into());
            }
        }
        value
    }
}

/// What a recursive list shows before the entries of a directory.
pub fn head(path: &[u8], output: &mut Output) -> Result<(), CliError> {
    if output.format() == Format::Text {
        output.name(path)?;
        output.bytes(b":\n")?;
    }
    Ok(())
}

/// What a recursive list shows after the entries of a directory.
pub fn foot(output: &mut Output) -> Result<(), CliError> {
    if output.format() == Format::Text { output.bytes(b"\n") } else { Ok(()) }
}
