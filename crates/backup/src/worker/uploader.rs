//! Uploads objects and reports them, in the order in which they were packed: a unit is complete only when every object
//! with a part of it is safe.

use futures::{StreamExt, TryStreamExt};
use site::Site;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use types::{NodeId, ObjectReport};

use super::{Line, WorkError};
use crate::BackupMetrics;
use crate::pack::Packed;
use crate::work::Report;

/// Objects that are uploaded at a time: while one is sent, the answer to the other is awaited.
const UPLOADS: usize = 2;

/// Uploads what a worker has packed.
pub struct Uploader {
    pub(super) node: NodeId,
    pub(super) site: Site,
    pub(super) line: Line,
    pub(super) metrics: BackupMetrics,
}

impl Uploader {
    /// Uploads and reports until the worker has nothing more.
    ///
    /// # Errors
    /// The site failed for longer than it is waited for.
    pub async fn run(self, packed: mpsc::Receiver<Packed>) -> Result<(), WorkError> {
        let mut reports = ReceiverStream::new(packed).map(|packed| self.upload(packed)).buffered(UPLOADS);
        while let Some(report) = reports.try_next().await? {
            let units = report.units.len() + report.object.as_ref().map_or(0, |object| object.units.len());
            self.metrics.units.inc_by(units as u64);
            self.line.report(report).await?;
        }
        Ok(())
    }

    async fn upload(&self, packed: Packed) -> Result<Report, WorkError> {
        let Packed { object, units, lins } = packed;
        let report = Report { units, lins, ..self.line.empty_report() };
        let Some(object) = object else { return Ok(report) };
        self.site.put_same(&object.name, object.bytes.clone()).await?;
        self.metrics.objects.inc();
        self.metrics.uploaded_bytes.inc_by(object.bytes.len() as u64);
        self.metrics.entries.inc_by(lins);
        let object = ObjectReport {
            name: object.name,
            size: object.bytes.len() as u64,
            hash: object.hash,
            node: self.node,
            bytes_plain: object.bytes_plain,
            units: report.units.iter().map(ToString::to_string).collect(),
        };
        Ok(Report { object: Some(object), units: Vec::new(), ..report })
    }
}
