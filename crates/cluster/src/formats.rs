//! The formats of this crate, for `--version`.

use crate::{identity, token, token_book};

/// What is written to the data folder and given to admins, and in which version.
pub const FORMATS: [(&str, u32); 3] =
    [("identity", identity::FORMAT), ("token book", token_book::FORMAT), ("join token", token::VERSION as u32)];
