use types::{BlockId, Content, Digest, Extent, NewExtent, PgId, PgVersion, Run, SeatSet, SessionId, Tail};

use crate::invalid::{bytes32, each, required, small};
use crate::v1::content::Content as Kind;
use crate::{InvalidMessage, v1};

impl From<BlockId> for v1::BlockId {
    fn from(id: BlockId) -> Self {
        Self { session: id.session.0, sequence: id.sequence }
    }
}

impl From<v1::BlockId> for BlockId {
    fn from(id: v1::BlockId) -> Self {
        Self { session: SessionId(id.session), sequence: id.sequence }
    }
}

impl From<Extent> for v1::Extent {
    fn from(extent: Extent) -> Self {
        Self {
            offset: extent.offset,
            length: extent.length,
            block: Some(extent.block.into()),
            block_offset: extent.block_offset,
            block_length: extent.block_length,
            digest: extent.digest.0.to_vec().into(),
            pg: extent.pg.0,
        }
    }
}

impl TryFrom<v1::Extent> for Extent {
    type Error = InvalidMessage;

    fn try_from(extent: v1::Extent) -> Result<Self, InvalidMessage> {
        Ok(Self {
            offset: extent.offset,
            length: extent.length,
            block: required("block", extent.block)?.into(),
            block_offset: extent.block_offset,
            block_length: extent.block_length,
            digest: Digest(bytes32("digest", &extent.digest)?),
            pg: PgId(extent.pg),
        })
    }
}

impl From<Run> for v1::Run {
    fn from(run: Run) -> Self {
        let run = match run {
            Run::Block(extent) => v1::run::Run::Block(extent.into()),
            Run::Tail(Tail { offset, bytes }) => v1::run::Run::Tail(v1::Tail { offset, bytes }),
        };
        Self { run: Some(run) }
    }
}

impl TryFrom<v1::Run> for Run {
    type Error = InvalidMessage;

    fn try_from(run: v1::Run) -> Result<Self, InvalidMessage> {
        Ok(match required("run", run.run)? {
            v1::run::Run::Block(extent) => Self::Block(extent.try_into()?),
            v1::run::Run::Tail(v1::Tail { offset, bytes }) => Self::Tail(Tail { offset, bytes }),
        })
    }
}

impl From<NewExtent> for v1::NewExtent {
    fn from(new: NewExtent) -> Self {
        Self { extent: Some(new.extent.into()), pg_version: new.pg_version.0, acknowledged: new.acknowledged.0.into() }
    }
}

impl TryFrom<v1::NewExtent> for NewExtent {
    type Error = InvalidMessage;

    fn try_from(new: v1::NewExtent) -> Result<Self, InvalidMessage> {
        Ok(Self {
            extent: required("extent", new.extent)?.try_into()?,
            pg_version: PgVersion(new.pg_version),
            acknowledged: SeatSet(small("acknowledged", new.acknowledged)?),
        })
    }
}

impl From<Content> for v1::Content {
    fn from(content: Content) -> Self {
        let kind = match content {
            Content::Empty => Kind::Empty(v1::Nothing {}),
            Content::Inline(bytes) => Kind::Inline(bytes),
            Content::Extents(extents) => {
                Kind::Extents(v1::NewExtents { extents: extents.into_iter().map(Into::into).collect() })
            }
            Content::Device(device) => Kind::Device(device.into()),
        };
        Self { content: Some(kind) }
    }
}

impl TryFrom<v1::Content> for Content {
    type Error = InvalidMessage;

    fn try_from(content: v1::Content) -> Result<Self, InvalidMessage> {
        Ok(match required("content", content.content)? {
            Kind::Empty(v1::Nothing {}) => Self::Empty,
            Kind::Inline(bytes) => Self::Inline(bytes),
            Kind::Extents(new) => Self::Extents(each(new.extents)?),
            Kind::Device(device) => Self::Device(device.into()),
        })
    }
}
