//! Stories with real processes. One binary, so that it is linked once.

#![allow(clippy::disallowed_methods, reason = "tests look at the real files and processes from outside")]

#[cfg(test)]
mod backups;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod every_command;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod files;
#[cfg(test)]
mod power;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod sessions;
