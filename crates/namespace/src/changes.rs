//! What a change index tells of a LIN.

use std::fmt;
use std::ops::BitOr;

/// What changed of a LIN since some revision. A set bit may also stand for an earlier change, a clear one never hides a
/// change.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ChangeFlags(u8);

impl ChangeFlags {
    /// Mode, owner, times, size, or the number of links or entries.
    pub const ATTRIBUTES: Self = Self(1);
    /// The bytes of a file.
    pub const CONTENT: Self = Self(1 << 1);
    /// The names of the LIN itself: added, removed or moved.
    pub const LINKS: Self = Self(1 << 2);
    /// Extended attributes.
    pub const XATTRS: Self = Self(1 << 3);
    /// The LIN was made.
    pub const CREATED: Self = Self(1 << 4);
    /// The LIN was removed.
    pub const REMOVED: Self = Self(1 << 5);
    /// Every bit: nothing is known, so everything may have changed.
    pub const ALL: Self = Self((1 << 6) - 1);

    const NAMES: [(Self, &'static str); 6] = [
        (Self::ATTRIBUTES, "attributes"),
        (Self::CONTENT, "content"),
        (Self::LINKS, "links"),
        (Self::XATTRS, "xattrs"),
        (Self::CREATED, "created"),
        (Self::REMOVED, "removed"),
    ];

    /// Whether all bits of another value are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The value without the bits of another one.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// Bits that are not known are dropped.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }
}

impl BitOr for ChangeFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for ChangeFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| name);
        f.debug_set().entries(names).finish()
    }
}
