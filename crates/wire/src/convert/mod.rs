//! Conversions between the messages and the crate `types`: outward by `From`, inward by a checking `TryFrom`.

mod attributes;
mod backup;
mod change;
mod cluster;
mod enumeration;
mod extent;
mod lock;
mod outcome;
mod quota;
#[cfg(test)]
mod tests;

pub use enumeration::Numbered;
