//! Whole trees between the local file system and the cluster.

mod adoption;
mod download;
mod links;
mod scan;
mod source;
mod upload;

pub use download::{Download, DownloadReport};
pub use source::read_stream;
pub use upload::{Report, Upload, write_all};
