use types::{AttributeChanges, Attributes, Device, FileKind, Lin, Timestamp};

use super::enumeration::Numbered;
use crate::invalid::{optional_time, time};
use crate::{InvalidMessage, v1};

impl From<Timestamp> for v1::Timestamp {
    fn from(time: Timestamp) -> Self {
        Self { seconds: time.seconds, nanoseconds: time.nanoseconds }
    }
}

impl TryFrom<v1::Timestamp> for Timestamp {
    type Error = InvalidMessage;

    fn try_from(time: v1::Timestamp) -> Result<Self, InvalidMessage> {
        if time.nanoseconds >= 1_000_000_000 {
            return Err(InvalidMessage::Range { field: "nanoseconds", value: time.nanoseconds.into() });
        }
        Ok(Self { seconds: time.seconds, nanoseconds: time.nanoseconds })
    }
}

impl From<Device> for v1::Device {
    fn from(device: Device) -> Self {
        Self { major: device.major, minor: device.minor }
    }
}

impl From<v1::Device> for Device {
    fn from(device: v1::Device) -> Self {
        Self { major: device.major, minor: device.minor }
    }
}

impl From<Attributes> for v1::Attributes {
    fn from(attributes: Attributes) -> Self {
        Self {
            lin: attributes.lin.0,
            kind: attributes.kind.number(),
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            nlink: attributes.nlink,
            size: attributes.size,
            atime: Some(attributes.atime.into()),
            mtime: Some(attributes.mtime.into()),
            ctime: Some(attributes.ctime.into()),
        }
    }
}

impl TryFrom<v1::Attributes> for Attributes {
    type Error = InvalidMessage;

    fn try_from(attributes: v1::Attributes) -> Result<Self, InvalidMessage> {
        Ok(Self {
            lin: Lin(attributes.lin),
            kind: FileKind::from_number("kind", attributes.kind)?,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            nlink: attributes.nlink,
            size: attributes.size,
            atime: time("atime", attributes.atime)?,
            mtime: time("mtime", attributes.mtime)?,
            ctime: time("ctime", attributes.ctime)?,
        })
    }
}

impl From<AttributeChanges> for v1::AttributeChanges {
    fn from(changes: AttributeChanges) -> Self {
        Self {
            mode: changes.mode,
            uid: changes.uid,
            gid: changes.gid,
            size: changes.size,
            atime: changes.atime.map(Into::into),
            mtime: changes.mtime.map(Into::into),
        }
    }
}

impl TryFrom<v1::AttributeChanges> for AttributeChanges {
    type Error = InvalidMessage;

    fn try_from(changes: v1::AttributeChanges) -> Result<Self, InvalidMessage> {
        Ok(Self {
            mode: changes.mode,
            uid: changes.uid,
            gid: changes.gid,
            size: changes.size,
            atime: optional_time(changes.atime)?,
            mtime: optional_time(changes.mtime)?,
        })
    }
}
