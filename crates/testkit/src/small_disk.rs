//! A small file system, to fill it.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Other programs take the room in pieces of this.
const PIECE_BYTES: usize = 64 << 10;

/// A file system of its own in memory, which lives as long as this does. It takes root; without, there is none.
pub struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one of that many MiB on a folder, which is made, in a name space of its own.
    ///
    /// # Panics
    /// The folder cannot be made.
    #[must_use]
    pub fn mount(folder: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("the folder of the small disk can be made");
        // It ends when its input does, which is when the test ends, whichever way.
        let script = format!("mount -t tmpfs -o size={mebibytes}m tmpfs \"$0\" && echo mounted && cat");
        let holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut holder = holder.ok()?;
        let mut said = String::new();
        BufReader::new(holder.stdout.take()?).read_line(&mut said).ok()?;
        let disk = Self { holder, folder: folder.to_owned() };
        (said == "mounted\n").then_some(disk)
    }

    /// The process whose name space has the disk at its folder.
    #[must_use]
    pub fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// A path of the file system as it is seen from outside of the name space.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.folder.strip_prefix("/").unwrap_or(&self.folder)).join(name)
    }

    /// Free bytes.
    ///
    /// # Panics
    /// The file system does not say.
    #[must_use]
    pub fn free(&self) -> u64 {
        runtime::Files::real().free_space(&self.path("")).expect("the small disk tells its room").free
    }

    /// Lets somebody else take all but so many bytes.
    ///
    /// # Panics
    /// Not even an empty file can be made.
    pub fn leave(&self, free: u64) {
        let filler = OpenOptions::new().create(true).append(true).open(self.path("filler"));
        let mut filler = filler.expect("a file can be made on the small disk");
        let zeros = vec![0; PIECE_BYTES];
        while self.free() > free && filler.write_all(&zeros).is_ok() {}
    }

    /// Gives back what [`SmallDisk::leave`] took.
    ///
    /// # Panics
    /// It took nothing.
    pub fn remove_filler(&self) {
        std::fs::remove_file(self.path("filler")).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _already_gone = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}
