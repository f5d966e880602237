//! Enumerations: zero and unknown numbers are refused, whatever prost makes of them.

use crate::{InvalidMessage, v1};

/// An enumeration of the crate `types` that has a number on the wire.
pub trait Numbered: Sized {
    /// The value of a number that came in.
    fn from_number(field: &'static str, number: i32) -> Result<Self, InvalidMessage>;

    /// The number to send.
    fn number(self) -> i32;
}

macro_rules! numbered {
    ($name:ident: $($variant:ident),+) => {
        impl Numbered for types::$name {
            fn from_number(field: &'static str, number: i32) -> Result<Self, InvalidMessage> {
                match v1::$name::try_from(number) {
                    $(Ok(v1::$name::$variant) => Ok(Self::$variant),)+
                    _ => Err(InvalidMessage::Unknown { field, value: number }),
                }
            }

            fn number(self) -> i32 {
                match self {
                    $(Self::$variant => v1::$name::$variant.into(),)+
                }
            }
        }
    };
}

numbered!(FileKind: File, Directory, Symlink, Pipe, Socket, CharDevice, BlockDevice);
numbered!(SeatState: Joining, Full);
numbered!(SnapshotState: Live, Dying);
numbered!(Removal: NotDirectory, Directory);
numbered!(Clearing: KeepLength, Extend);
numbered!(Seek: Data, Hole);
numbered!(RenameMode: Replace, NoReplace, Exchange);
numbered!(XattrMode: Any, Create, Replace);
numbered!(QuotaState: Counting, Enforced);
numbered!(LockKind: Range, Whole);
numbered!(LockMode: Shared, Exclusive);
numbered!(
    ErrorKind: InvalidRequest, NotFound, AlreadyExists, Conflict, Denied, NotLeader, Unavailable, NoSpace, Corrupt,
    Unsupported, Internal, OverQuota
);
