//! The files of one node under test.

use std::fs;
use std::path::{Path, PathBuf};

use super::ClusterError;

/// Where one node keeps what.
#[derive(Clone, Debug)]
pub(super) struct NodeFolder {
    root: PathBuf,
}

impl NodeFolder {
    /// Makes the folder and the configuration in it. Everything is relative to the configuration file.
    pub(super) fn create(root: PathBuf, port: u16, metrics_port: u16) -> Result<Self, ClusterError> {
        let folder = Self { root };
        fs::create_dir_all(&folder.root).map_err(|source| folder.error("make", &folder.root, source))?;
        let configuration = format!(
            "data = \"data\"\n\
             volumes = [\"volume\"]\n\
             [network]\nlisten = \"127.0.0.1:{port}\"\nadvertise = \"127.0.0.1:{port}\"\n\
             [admin]\nsocket = \"admin.sock\"\n\
             [metrics]\nlisten = \"127.0.0.1:{metrics_port}\"\n"
        );
        let path = folder.configuration();
        fs::write(&path, configuration).map_err(|source| folder.error("write", &path, source))?;
        Ok(folder)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.root.join("holdfastd.toml")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.root.join("admin.sock")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// What the node has logged so far; what is not there yet counts as nothing.
    pub(super) fn logged(&self) -> String {
        fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    pub(super) fn error(&self, doing: &'static str, path: &Path, source: std::io::Error) -> ClusterError {
        ClusterError::File { doing, path: path.to_owned(), source }
    }
}
