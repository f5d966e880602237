//! A disk that loses what was not synced when its power is cut.
//!
//! Killing a process loses nothing that it wrote: the kernel has it. Only a disk that forgets shows whether a program
//! synced what it relied upon. [`Disk::after_power_loss`] gives one of the many states that a loss of power may leave;
//! the seed says which. There are two ways to have a disk: a [`Recorder`] mirrors what a program does through
//! `runtime::Files`, and keeps the disk of every moment; the crate `lossyfs` mounts one, for whole processes.
//!
//! **What survives** is what POSIX promises, and beyond that what a seed decides:
//! - `fsync` and `fdatasync` of a file keep its bytes and its length, and *not* its name.
//! - `fsync` of a directory keeps the names in it, and what happened to the same names before.
//! - A page (4 KiB) of a file that was written since the last sync is left in one of its states since then, or torn
//!   between two of them at a border of sectors (512 bytes), each page and the length by itself: data comes to the
//!   medium in any order, and before or after the length.
//! - Of the changes of names since the last syncs of their directories, either a beginning survives, as in the journals
//!   of ext4 and XFS, or any of them, as POSIX allows. A rename is one change.
//! - The odds are drawn anew for each loss, for bytes and for names: nothing survives, all does, or something between. So
//!   the corners, an old name with new bytes among them, come as often as mixtures.
//!
//! That programs are to be checked against every state that their system calls allow, and not against a few crashes, is
//! from ALICE (Pillai et al., *All File Systems Are Not Created Equal*, OSDI 2014).
//!
//! **What it is not.** It loses no more than that: what was synced stays whole. Permission bits are kept at once, for
//! nothing of ours relies on the order of those. There are no symbolic links, special files or extended attributes, and
//! of the states that one page had between two syncs only a few are remembered.

mod disk;
mod fate;
mod file;
mod names;
mod recorder;
mod refusal;

pub use disk::{Disk, Number, ROOT, Status, Taken};
pub use file::PAGE;
pub use names::Entries;
pub use recorder::{Moment, Recorder, folder};
pub use refusal::Refusal;
