//! A table of numbered entries in pages: a page in which nothing is left takes no room.
//!
//! Numbers stay as they are as long as their entry lives. In a plain vector the one that came last, at the time when
//! there were most, would hold the room of all before it.

/// Entries of a page. With their count, pages of 32, 16 or 8 bytes an entry are then as large as what an allocator gives for them;
/// one entry more, and it gives a quarter more.
const PAGE: usize = 127;

struct Page<T> {
    entries: [Option<T>; PAGE],
    used: usize,
}

/// See the module.
pub(crate) struct Paged<T> {
    pages: Vec<Option<Box<Page<T>>>>,
    /// No number from this on was in use since the table was last shrunk.
    next: u32,
}

impl<T> Default for Paged<T> {
    fn default() -> Paged<T> {
        Paged { pages: Vec::new(), next: 0 }
    }
}

impl<T> Paged<T> {
    /// All numbers in use are below this one, which is free.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// The entry with a number.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        self.pages.get(number / PAGE)?.as_ref()?.entries[number % PAGE].as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let number = number as usize;
        self.pages.get_mut(number / PAGE)?.as_mut()?.entries[number % PAGE].as_mut()
    }

    /// Puts an entry under a number, in place of what was there.
    pub(crate) fn put(&mut self, number: u32, entry: T) {
        self.next = self.next.max(number + 1);
        let number = number as usize;
        if self.pages.len() <= number / PAGE {
            self.pages.resize_with(number / PAGE + 1, || None);
        }
        let page = self.pages[number / PAGE]
            .get_or_insert_with(|| Box::new(Page { entries: [const { None }; PAGE], used: 0 }));
        page.used += usize::from(page.entries[number % PAGE].replace(entry).is_none());
    }

    /// Takes the entry out that has a number.
    pub(crate) fn take(&mut self, number: u32) -> Option<T> {
        let number = number as usize;
        let place = self.pages.get_mut(number / PAGE)?;
        let page = place.as_mut()?;
        let taken = page.entries[number % PAGE].take()?;
        page.used -= 1;
        if page.used == 0 {
            *place = None;
        }
        Some(taken)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.pages.iter().flatten().map(|page| page.used).sum()
    }

    /// Memory of the pages, without what their entries hold.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.pages.capacity() * size_of::<Option<Box<Page<T>>>>()
            + self.pages.iter().flatten().count() * size_of::<Page<T>>()
    }

    /// Lets the room go of pages at the end in which nothing is left; [`Paged::next`] may come down with them.
    pub(crate) fn shrink(&mut self) {
        while self.pages.last().is_some_and(Option::is_none) {
            self.pages.pop();
        }
        self.next = self.next.min((self.pages.len() * PAGE) as u32);
        if self.pages.capacity() > 2 * self.pages.len() + 64 {
            self.pages.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_does_what_a_map_does_and_empty_pages_go() {
        let (mut paged, mut map) = (Paged::default(), BTreeMap::new());
        let mut random = 7u64;
        for step in 0..20_000u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (random >> 33) as u32 % 3000;
            if random >> 62 == 0 {
                assert_eq!(paged.take(number), map.remove(&number));
            } else {
                paged.put(number, step);
                map.insert(number, step);
            }
            assert_eq!((paged.get(number), paged.len()), (map.get(&number), map.len()));
        }
        (0..3000).for_each(|number| assert_eq!(paged.get_mut(number), map.get_mut(&number)));
        // One of the last stays; all pages before it are gone.
        for number in (0..3000).filter(|number| *number != 2900) {
            paged.take(number);
        }
        paged.put(2900, 1);
        paged.shrink();
        assert_eq!(paged.pages.iter().flatten().count(), 1);
        assert_eq!(paged.next(), 2900_u32.next_multiple_of(PAGE as u32));
        assert_eq!(paged.take(2900), Some(1));
        paged.shrink();
        assert_eq!((paged.next(), paged.get(2900), paged.len()), (0, None, 0));
    }
}
