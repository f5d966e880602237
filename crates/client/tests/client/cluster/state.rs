//! What the cluster knows, and what it does with changes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use types::{
    Attributes, BlockId, Change, Content, Create, ErrorKind, FileKind, Lin, NewExtent, OperationError, Outcome, PgId,
    PgVersion, SessionId, Timestamp,
};
use wire::{Failure, v1};

/// A file, by its name below the root.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub lin: Lin,
    pub inline: Bytes,
    pub extents: BTreeMap<u64, NewExtent>,
    pub size: u64,
}

/// Where a copy lies: in which version of which group.
pub type Place = (PgId, PgVersion);

#[derive(Debug)]
pub struct State {
    /// The versions of the groups.
    pub groups: BTreeMap<PgId, PgVersion>,
    /// All copies that were ever taken.
    pub copies: BTreeMap<(BlockId, Place), v1::StoredBlock>,
    pub files: BTreeMap<Bytes, File>,
    pub sessions: BTreeMap<SessionId, Blocks>,
    /// So many puts take their blocks and then have no quorum.
    pub puts_without_quorum: usize,
    /// So often all groups get another membership before a change with extents is looked at.
    pub moves: usize,
    /// So many changes with extents are refused because a full seat has been lost.
    pub losses: usize,
    /// How many gaps a session may have.
    pub gaps_max: usize,
    /// Refusals by their codes.
    pub refusals: BTreeMap<String, usize>,
    /// Bytes of the longest request for changes.
    pub longest_request: usize,
    pub most_blocks_of_a_put: usize,
    next: u64,
}

/// The blocks of a session.
#[derive(Debug, Default)]
pub struct Blocks {
    pub mark: u64,
    /// Those above the mark that are published.
    pub published: BTreeSet<u64>,
    results: BTreeMap<u64, Result<Outcome, OperationError>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            groups: (1..=4).map(|pg| (PgId(pg), PgVersion(1))).collect(),
            copies: BTreeMap::new(),
            files: BTreeMap::new(),
            sessions: BTreeMap::new(),
            puts_without_quorum: 0,
            moves: 0,
            losses: 0,
            gaps_max: 4096,
            refusals: BTreeMap::new(),
            longest_request: 0,
            most_blocks_of_a_put: 0,
            next: 1,
        }
    }
}

impl Blocks {
    fn claim(&mut self, block: BlockId, gaps_max: usize, session: SessionId) -> Result<(), OperationError> {
        let sequence = block.sequence;
        if sequence < self.mark || self.published.contains(&sequence) {
            return Err(OperationError::StaleBlock { block });
        }
        let before = self.published.clone();
        self.published.insert(sequence);
        self.raise(self.mark);
        if self.gaps() > gaps_max {
            self.published = before;
            return Err(OperationError::SessionFull { session, gaps: gaps_max as u64 });
        }
        Ok(())
    }

    /// Ranges of published blocks above the mark.
    fn gaps(&self) -> usize {
        self.published.iter().filter(|&&sequence| !self.published.contains(&(sequence - 1))).count()
    }

    fn raise(&mut self, mark: u64) {
        self.mark = self.mark.max(mark);
        while self.published.remove(&self.mark) {
            self.mark += 1;
        }
        self.published.retain(|&sequence| sequence > self.mark);
    }
}

impl State {
    pub fn open_session(&mut self) -> SessionId {
        let id = SessionId(self.number());
        self.sessions.insert(id, Blocks { mark: 1, ..Blocks::default() });
        id
    }

    pub fn raise_block_mark(&mut self, session: SessionId, mark: u64) {
        self.sessions.get_mut(&session).unwrap().raise(mark);
    }

    /// The extents of a file in their order.
    pub fn extents(&self, name: &str) -> Vec<NewExtent> {
        self.files.get(name.as_bytes()).unwrap().extents.values().cloned().collect()
    }

    /// How often changes were refused with a code.
    pub fn refused(&self, code: &str) -> usize {
        self.refusals.get(code).copied().unwrap_or_default()
    }

    /// Carries out a change, or gives the result that it had before.
    pub fn execute(&mut self, session: SessionId, sequence: u64, change: &Change) -> Result<Outcome, OperationError> {
        let Some(blocks) = self.sessions.get(&session) else { return Err(OperationError::NoSession { session }) };
        if let Some(first) = blocks.results.get(&sequence) {
            return first.clone();
        }
        let result = self.carry_out(session, change);
        if let Err(refused) = &result {
            *self.refusals.entry(Failure::from(refused).code).or_default() += 1;
        }
        self.sessions.get_mut(&session).unwrap().results.insert(sequence, result.clone());
        result
    }

    fn carry_out(&mut self, session: SessionId, change: &Change) -> Result<Outcome, OperationError> {
        match change {
            Change::Create(Create { name, inode, .. }) => {
                let (inline, extents) = self.content(session, &inode.content)?;
                let lin = Lin(self.number());
                let file = File { lin, inline, extents, size: inode.size };
                self.files.insert(name.to_bytes(), file.clone());
                Ok(Outcome::Inode(attributes(&file)))
            }
            Change::Write { lin, content, .. } => {
                let (_, extents) = self.content(session, content)?;
                let file = self.files.values_mut().find(|file| file.lin == *lin).unwrap();
                file.extents.extend(extents);
                Ok(Outcome::Inode(attributes(file)))
            }
            Change::SetAttributes { lin, changes } => {
                let file = self.files.values_mut().find(|file| file.lin == *lin).unwrap();
                file.size = changes.size.unwrap_or(file.size);
                Ok(Outcome::Inode(attributes(file)))
            }
            Change::Rename(rename) => {
                let file = self.files.remove(rename.from_name.as_bytes()).unwrap();
                self.files.insert(rename.to_name.to_bytes(), file);
                Ok(Outcome::Done)
            }
            Change::Remove { name, .. } => {
                self.files.remove(name.as_bytes());
                Ok(Outcome::Done)
            }
            other => panic!("no test makes {other:?}"),
        }
    }

    fn content(
        &mut self,
        session: SessionId,
        content: &Content,
    ) -> Result<(Bytes, BTreeMap<u64, NewExtent>), OperationError> {
        let extents = match content {
            Content::Empty => return Ok((Bytes::new(), BTreeMap::new())),
            Content::Inline(bytes) => return Ok((bytes.clone(), BTreeMap::new())),
            Content::Extents(extents) => extents,
            Content::Device(_) => panic!("no test makes a device"),
        };
        if self.moves > 0 {
            self.moves -= 1;
            self.groups.values_mut().for_each(|version| version.0 += 1);
        }
        assert!(extents.is_sorted_by_key(|new| new.extent.offset), "extents are sorted: {extents:?}");
        for new in extents {
            self.check_copies(new)?;
        }
        if self.losses > 0 {
            self.losses -= 1;
            let block = extents.first().unwrap().extent.block;
            return Err(OperationError::TooFewCopies { block, acknowledged: 1, needed: 2 });
        }
        let gaps_max = self.gaps_max;
        let blocks = self.sessions.get_mut(&session).unwrap();
        let (mark, published) = (blocks.mark, blocks.published.clone());
        for new in extents {
            if let Err(refused) = blocks.claim(new.extent.block, gaps_max, session) {
                (blocks.mark, blocks.published) = (mark, published);
                return Err(refused);
            }
        }
        Ok((Bytes::new(), extents.iter().map(|new| (new.extent.offset, new.clone())).collect()))
    }

    fn check_copies(&self, new: &NewExtent) -> Result<(), OperationError> {
        let (pg, given) = (new.extent.pg, new.pg_version);
        let current = *self.groups.get(&pg).unwrap();
        if given != current {
            return Err(OperationError::StalePlacement { pg, given, current });
        }
        let copy = self.copies.get(&(new.extent.block, (pg, given)));
        assert!(copy.is_some(), "block {} is published and was never put to {pg}", new.extent.block);
        Ok(())
    }

    /// Takes blocks into a version of a group.
    pub fn put(&mut self, place: Place, blocks: Vec<v1::StoredBlock>) -> Result<(), Failure> {
        let (pg, given) = place;
        let current = *self.groups.get(&pg).unwrap();
        if given != current {
            return Err(OperationError::StalePlacement { pg, given, current }.into());
        }
        self.most_blocks_of_a_put = self.most_blocks_of_a_put.max(blocks.len());
        for block in blocks {
            self.copies.insert((block.id.unwrap().into(), place), block);
        }
        if self.puts_without_quorum > 0 {
            self.puts_without_quorum -= 1;
            return Err(Failure::new(ErrorKind::Unavailable, wire::code::TOO_FEW_COPIES, "ordered by the test"));
        }
        Ok(())
    }

    /// A copy of a block in any version of a group.
    pub fn copy(&self, block: BlockId, pg: PgId) -> Option<v1::StoredBlock> {
        let mut copies = self.copies.iter();
        copies.find(|((id, (group, _)), _)| *id == block && *group == pg).map(|(_, copy)| copy.clone())
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

pub fn attributes(file: &File) -> Attributes {
    let time = Timestamp::default();
    Attributes {
        lin: file.lin,
        kind: FileKind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        nlink: 1,
        size: file.size,
        atime: time,
        mtime: time,
        ctime: time,
    }
}
