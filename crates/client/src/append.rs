//! Appending to files that are there.
//!
//! The cluster puts what is appended where the file ends by then, so that any number of clients may append to one file: the
//! bytes of each call stay together, and none are lost. Few bytes go into the cluster's state, as the file's *tail* (rule
//! P16). When that is full, whoever wants to append cuts it into a block first. The cluster takes the block only if the
//! tail is still what the block was made of; if somebody else was faster, there is nothing left to be done.

use bytes::Bytes;
use types::{Append, Attributes, Change, Content, Lin, NewExtent, Outcome, Run, TAIL_LENGTH_MAX, Tail};
use wire::{Failure, InvalidMessage, code};

use crate::block_ids::Telling;
use crate::namespace::Parts;
use crate::small_files::cut;
use crate::{ClientError, PlacementKey, Session};

const APPEND: &str = "append to the file";
/// How often a tail is cut before something is appended to it. Others fill it again only with what they have appended.
const CUTS_MAX: usize = 64;

impl Session {
    /// Appends bytes, some MiB at most; gives where they begin. They come to lie together, whoever else appends.
    ///
    /// # Errors
    /// `NotFound` when the file is not there, `InvalidRequest` when it is no regular file; nothing is appended then.
    pub async fn append(&self, lin: Lin, bytes: Bytes) -> Result<u64, ClientError> {
        let length = bytes.len() as u64;
        let in_tail = bytes.len() < TAIL_LENGTH_MAX;
        let outcome = match in_tail {
            true => self.append_to_tail(lin, bytes).await?,
            false => self.append_blocks(lin, bytes).await?,
        };
        let Attributes { size: end, .. } = attributes(outcome)?;
        let wrong = InvalidMessage::Range { field: "size", value: end };
        let start = end.checked_sub(length).ok_or(ClientError::BadAnswer { action: APPEND, source: wrong })?;
        if !in_tail {
            self.merge_around(lin, start, end).await;
        }
        Ok(start)
    }

    async fn append_to_tail(&self, lin: Lin, bytes: Bytes) -> Result<Outcome, ClientError> {
        let content = Content::Inline(bytes);
        let mut cuts = 0;
        loop {
            let append = Change::Append(Append { lin, content: content.clone(), mtime: None });
            match self.execute_one(APPEND, append).await {
                Err(ClientError::Refused { failure, .. }) if failure.code == code::TAIL_FULL && cuts < CUTS_MAX => {
                    self.cut_tails(lin, first_tail(&failure)?).await?;
                    cuts += 1;
                }
                appended => return appended,
            }
        }
    }

    async fn append_blocks(&self, lin: Lin, bytes: Bytes) -> Result<Outcome, ClientError> {
        // Where the file ends by then does not matter for where its blocks are kept.
        let end = self.client().describe(lin, Parts::default(), None).await?.attributes.size;
        let key = |offset: u64| PlacementKey::of_file(lin, end.saturating_add(offset));
        let extents = self.put_cut(0, cut(&bytes, self.gear_seed()), key).await?;
        let append = |new: Vec<NewExtent>| Change::Append(Append { lin, content: Content::Extents(new), mtime: None });
        let outcome = self.publish(APPEND, extents, append, key).await?;
        self.raise_block_mark(Telling::Seldom).await;
        Ok(outcome)
    }

    /// Cuts the tails of a file from an offset on into blocks. Those that change meanwhile are left to who changes them.
    async fn cut_tails(&self, lin: Lin, from: u64) -> Result<(), ClientError> {
        let page = self.client().read_runs(lin, from, None).await?;
        for Tail { offset, bytes } in joined_tails(page.runs) {
            let end = offset + bytes.len() as u64;
            self.rewrite(lin, page.changed, offset, cut(&bytes, self.gear_seed())).await?;
            self.merge_around(lin, offset, end).await;
        }
        Ok(())
    }
}

/// Tails that follow one another without a gap, as one.
fn joined_tails(runs: Vec<Run>) -> Vec<Tail> {
    let mut joined: Vec<(u64, Vec<u8>)> = Vec::new();
    for run in runs {
        let Run::Tail(Tail { offset, bytes }) = run else { continue };
        match joined.last_mut() {
            Some((begin, before)) if *begin + before.len() as u64 == offset => before.extend_from_slice(&bytes),
            _ => joined.push((offset, bytes.into())),
        }
    }
    joined.into_iter().map(|(offset, bytes)| Tail { offset, bytes: bytes.into() }).collect()
}

/// Where the first tail lies that is to be cut.
fn first_tail(full: &Failure) -> Result<u64, ClientError> {
    let missing = ClientError::BadAnswer { action: APPEND, source: InvalidMessage::Missing { field: "from" } };
    full.fields.get("from").and_then(|from| from.parse().ok()).ok_or(missing)
}

fn attributes(outcome: Outcome) -> Result<Attributes, ClientError> {
    match outcome {
        Outcome::Inode(attributes) => Ok(attributes),
        _ => Err(ClientError::BadAnswer { action: APPEND, source: InvalidMessage::Missing { field: "inode" } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_joined_where_they_touch() {
        let run = |offset, bytes: &'static [u8]| Run::Tail(Tail { offset, bytes: Bytes::from_static(bytes) });
        let joined = joined_tails(vec![run(3, b"a"), run(4, b"bc"), run(7, b"d"), run(8, b"e")]);
        let expected = [(3, Bytes::from_static(b"abc")), (7, Bytes::from_static(b"de"))];
        assert_eq!(joined, expected.map(|(offset, bytes)| Tail { offset, bytes }));
    }
}
