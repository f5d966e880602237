//! Which LINs a backup set holds.

mod membership;

pub use membership::Membership;
pub(crate) use membership::if_there;
