//! Wrappers that keep secrets out of logs and out of freed memory.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Secret bytes of fixed length. Its `Debug` hides them and dropping it wipes them.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const LENGTH: usize>([u8; LENGTH]);

impl<const LENGTH: usize> Secret<LENGTH> {
    /// Takes the bytes over.
    #[must_use]
    pub const fn new(bytes: [u8; LENGTH]) -> Self {
        Self(bytes)
    }

    /// Shows the bytes to code that needs them; the name is there to be searched for in reviews.
    #[must_use]
    pub const fn expose(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl<const LENGTH: usize> fmt::Debug for Secret<LENGTH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{LENGTH} secret bytes>")
    }
}

/// Secret text, such as a private key in PEM. Its `Debug` hides it and dropping it wipes it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretText(String);

impl SecretText {
    /// Takes the text over.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Shows the text to code that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret text>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        assert_eq!(format!("{:?}", Secret::new([0x41; 4])), "<4 secret bytes>");
        assert_eq!(format!("{:?}", SecretText::new("AAAA".to_owned())), "<secret text>");
    }
}
