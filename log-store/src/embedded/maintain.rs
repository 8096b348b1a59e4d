//! What is due from time to time: merging small blocks, dropping days that are too old, keeping the disk limit.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use watchfire_model::{Timestamp, failpoint};

use super::manifest::Edit;
use super::sealer::{Sealer, entry, split_by_day};
use super::shared::DAY_MS;
use crate::open_block::Rows;
use crate::sealed::block::SealedBlock;
use crate::sealed::directory::BlockInfo;
use crate::sealed::rows::read_rows;

/// So many blocks of about one size are merged.
const MERGE_MIN: usize = 8;
/// Most blocks merged at once.
const MERGE_MAX: usize = 64;
/// Sizes apart by this factor are not of about one size.
const TIER: u32 = 4;
/// Texts of a merged block at most, decoded, bytes: what a merge needs in memory.
const MERGED_BYTES_MAX: u64 = 128 << 20;
/// After a day has ended, its blocks wait this long for late records before they are all merged.
const LATE_MS: i64 = 900_000;

impl Sealer {
    /// Does all that is due.
    pub fn maintain(&mut self, now: Timestamp) -> io::Result<()> {
        self.forget_directories(now);
        let dropped = self.expire(now)? + self.keep_disk_limit()?;
        if dropped > 0 {
            self.remove_empty_days();
            if let Some(archive) = &self.archive {
                archive.forget_days(&self.blocks(), &self.shared);
            }
        }
        while self.merge_one(now)? {}
        Ok(())
    }

    /// Keeps the memory of the blocks' directories within its limit: those not used for longest go.
    fn forget_directories(&self, now: Timestamp) {
        let blocks = self.blocks();
        let mut used: Vec<(i64, usize, &SealedBlock)> = blocks
            .iter()
            .filter_map(|block| block.directory_use(now.millis()).map(|(at, bytes)| (at, bytes, &**block)))
            .collect();
        let mut bytes: usize = used.iter().map(|(_, bytes, _)| bytes).sum();
        used.sort_unstable_by_key(|(at, _, _)| *at);
        for (_, of_block, block) in used {
            if bytes <= self.shared.config.cache_bytes {
                break;
            }
            block.forget_directory();
            bytes -= of_block;
        }
    }

    /// Removes the folders of days whose files are gone. One that a search still reads stays until the next start.
    fn remove_empty_days(&self) {
        let folders = std::fs::read_dir(&self.shared.config.dir).into_iter().flatten().flatten();
        for folder in folders.filter(|folder| folder.file_type().is_ok_and(|kind| kind.is_dir())) {
            // Refused while there is a file in it.
            let _ = std::fs::remove_dir(folder.path());
        }
    }

    fn blocks(&self) -> Vec<Arc<SealedBlock>> {
        self.shared.snapshot().sealed.clone()
    }

    /// Drops the days that ended before the retention began.
    fn expire(&mut self, now: Timestamp) -> io::Result<u64> {
        let kept_ms = i64::from(self.shared.config.retention_days).saturating_mul(DAY_MS);
        let oldest = now.plus_millis(-kept_ms).millis();
        self.forget_lost(oldest);
        let is_old = |block: &Arc<SealedBlock>| (block.info.day + 1).saturating_mul(DAY_MS) <= oldest;
        let old: Vec<Arc<SealedBlock>> = self.blocks().into_iter().filter(is_old).collect();
        let records = self.drop_blocks(&self.archived(old))?;
        self.shared.counters.expired_records.fetch_add(records, Ordering::Relaxed);
        Ok(records)
    }

    /// Forgets lost records that would be too old by now. The manifest says so when it is next written anew.
    fn forget_lost(&mut self, oldest: i64) {
        if self.shared.snapshot().lost.iter().any(|lost| lost.is_before(oldest)) {
            self.manifest.state.lost.retain(|lost| !lost.is_before(oldest));
            self.shared.update(|snapshot| snapshot.lost.retain(|lost| !lost.is_before(oldest)));
        }
    }

    /// Those of the blocks that may be dropped: with an archive, only what is in it.
    fn archived(&self, blocks: Vec<Arc<SealedBlock>>) -> Vec<Arc<SealedBlock>> {
        match &self.archive {
            Some(archive) => archive.archived(blocks),
            None => blocks,
        }
    }

    /// Drops the oldest days, or of the last day the oldest blocks, while there are more bytes than allowed. What is not
    /// in the archive yet may stay while they are a tenth more at most: then the limit counts for more.
    fn keep_disk_limit(&mut self) -> io::Result<u64> {
        let mut blocks = self.blocks();
        let mut bytes: u64 = blocks.iter().map(|block| block.bytes).sum();
        let limit = self.shared.config.disk_limit_bytes;
        if bytes <= limit {
            return Ok(0);
        }
        let waits_for_archive = bytes <= limit.saturating_add(limit / 10);
        blocks.sort_by_key(|block| (block.info.day, block.info.time_max));
        let newest_day = blocks.last().map_or(0, |block| block.info.day);
        let mut gone: Vec<Arc<SealedBlock>> = Vec::new();
        for block in blocks {
            let is_day_begun = gone.last().is_some_and(|last| last.info.day == block.info.day);
            // A day goes as a whole, but for the newest.
            if bytes <= limit && !(is_day_begun && block.info.day != newest_day) {
                break;
            }
            bytes -= block.bytes;
            gone.push(block);
        }
        if waits_for_archive {
            gone = self.archived(gone);
        }
        if gone.is_empty() {
            return Ok(0);
        }
        let records = self.drop_blocks(&gone)?;
        tracing::warn!(records, limit, "the disk limit of the log store is reached; the oldest records were dropped");
        self.shared.counters.dropped_records.fetch_add(records, Ordering::Relaxed);
        Ok(records)
    }

    /// Takes blocks out of the manifest, then out of searches, then off the disk. Gives how many records they had.
    fn drop_blocks(&mut self, blocks: &[Arc<SealedBlock>]) -> io::Result<u64> {
        if blocks.is_empty() {
            return Ok(0);
        }
        let ids: Vec<u64> = blocks.iter().map(|block| block.info.id).collect();
        self.manifest.append(Edit { removed: ids.clone(), ..self.edit() })?;
        failpoint::hit("log_store.retention");
        self.forget(&ids, &[], blocks);
        Ok(blocks.iter().map(|block| u64::from(block.info.rows)).sum())
    }

    /// Swaps blocks in searches and lets the files of those that are gone go.
    fn forget(&self, ids: &[u64], by: &[Arc<SealedBlock>], gone: &[Arc<SealedBlock>]) {
        gone.iter().for_each(|block| block.doom());
        self.shared.update(|snapshot| snapshot.replace(&[], ids, by));
    }

    fn edit(&self) -> Edit {
        let state = &self.manifest.state;
        Edit { sealed_offset: state.sealed_offset, next_block: state.next_block, ..Edit::default() }
    }

    /// Merges one group of small blocks, if there is one. A block that cannot be read is left as it is.
    fn merge_one(&mut self, now: Timestamp) -> io::Result<bool> {
        let mut days: BTreeMap<i64, Vec<Arc<SealedBlock>>> = BTreeMap::new();
        for block in self.blocks().into_iter().filter(|block| !self.unreadable.contains(&block.info.id)) {
            days.entry(block.info.day).or_default().push(block);
        }
        for (day, mut blocks) in days {
            blocks.sort_by_key(|block| (block.info.time_min, block.info.id));
            let is_past = (day + 1).saturating_mul(DAY_MS).saturating_add(LATE_MS) <= now.millis();
            let sizes: Vec<(u32, u64)> = blocks.iter().map(|block| (block.info.rows, block.info.text_bytes)).collect();
            let group = pick_group(&sizes, self.shared.config.block_rows, is_past);
            if group.is_empty() {
                continue;
            }
            let group: Vec<Arc<SealedBlock>> = group.into_iter().map(|at| Arc::clone(&blocks[at])).collect();
            self.merge(day, &group)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn merge(&mut self, day: i64, group: &[Arc<SealedBlock>]) -> io::Result<()> {
        let mut parts = Vec::with_capacity(group.len());
        for block in group {
            match block.open().and_then(|(directory, file)| read_rows(&directory, &file)) {
                Ok(rows) => parts.push(rows),
                Err(reason) => {
                    tracing::error!(%reason, path = %block.path.display(), "a block cannot be read and is not merged");
                    self.unreadable.insert(block.info.id);
                    block.note_damage();
                    return Ok(());
                }
            }
        }
        let parts: Vec<&Rows> = parts.iter().collect();
        let order = split_by_day(&parts).into_iter().flat_map(|(_, order)| order).collect::<Vec<_>>();
        let ids: Vec<u64> = group.iter().map(|block| block.info.id).collect();
        let cuts = group.iter().map(|block| block.info.cut);
        let info = BlockInfo {
            id: self.manifest.state.next_block,
            day,
            cut: cuts.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0)),
            cut_blocks: 0,
            merged_from: ids.clone(),
            ..BlockInfo::default()
        };
        let merged = self.write(&parts, &order, info)?;
        failpoint::hit("log_store.merge");
        let edit = Edit {
            next_block: self.manifest.state.next_block + 1,
            removed: ids.clone(),
            added: vec![entry(&merged)],
            ..self.edit()
        };
        self.manifest.append(edit)?;
        self.forget(&ids, &[merged], group);
        self.shared.counters.merges.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Which blocks of a day (rows and bytes of texts of each, in order of time) to merge; none if it is not worth it.
fn pick_group(sizes: &[(u32, u64)], block_rows: usize, is_past: bool) -> Vec<usize> {
    let is_small = |size: &(u32, u64)| size.0 as usize <= block_rows / 2 && size.1 <= MERGED_BYTES_MAX / 2;
    let small: Vec<usize> = (0..sizes.len()).filter(|at| is_small(&sizes[*at])).collect();
    let fill = |from: Vec<usize>| {
        let (mut rows, mut bytes) = (0usize, 0u64);
        let fits = |at: &usize| {
            rows += sizes[*at].0 as usize;
            bytes += sizes[*at].1;
            rows <= block_rows && bytes <= MERGED_BYTES_MAX
        };
        from.into_iter().take(MERGE_MAX).take_while(fits).collect::<Vec<usize>>()
    };
    let tier = |at: &usize| sizes[*at].0.max(1).ilog(TIER);
    for wanted in 0..=16 {
        let group = fill(small.iter().copied().filter(|at| tier(at) == wanted).collect());
        // A group that fills a block is good, too.
        let rows: usize = group.iter().map(|at| sizes[*at].0 as usize).sum();
        if group.len() >= MERGE_MIN || (group.len() >= 2 && rows > block_rows / 2) {
            return group;
        }
    }
    if is_past {
        let group = fill(small);
        if group.len() >= 2 {
            return group;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Merges until nothing is left to do; gives the sizes that remain and the rows written on the way.
    fn settle(mut sizes: Vec<(u32, u64)>, block_rows: usize, is_past: bool) -> (Vec<(u32, u64)>, u64) {
        let mut written = 0;
        loop {
            let group = pick_group(&sizes, block_rows, is_past);
            if group.is_empty() {
                return (sizes, written);
            }
            assert!(group.len() >= 2);
            let merged = group.iter().fold((0, 0), |sum, at| (sum.0 + sizes[*at].0, sum.1 + sizes[*at].1));
            assert!(merged.0 as usize <= block_rows);
            written += u64::from(merged.0);
            let mut at = 0;
            sizes.retain(|_| {
                at += 1;
                !group.contains(&(at - 1))
            });
            sizes.push(merged);
        }
    }

    #[test]
    fn a_day_of_small_blocks_settles_into_few_and_writes_each_row_a_few_times() {
        let (mut sizes, mut written, mut rows) = (Vec::new(), 0, 0);
        for minute in 0..1440u32 {
            sizes.push((300 + minute % 50, 20_000));
            rows += u64::from(300 + minute % 50);
            let (settled, more) = settle(sizes, 65_536, false);
            (sizes, written) = (settled, written + more);
        }
        assert!(sizes.len() < 40, "{}", sizes.len());
        assert!(written < rows * 5, "{written} of {rows}");
        let (settled, _) = settle(sizes, 65_536, true);
        assert!(settled.len() < 14, "{}", settled.len());
    }

    #[test]
    fn large_blocks_are_left_alone() {
        assert!(pick_group(&[(65_536, 4 << 20); 20], 65_536, true).is_empty());
        assert!(pick_group(&[(40_000, 1 << 20), (40_000, 1 << 20)], 65_536, true).is_empty());
    }
}
