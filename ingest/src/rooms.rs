//! Room for unpacked bodies, used again and again while requests come.
//!
//! To zero fresh room of a megabyte takes as much of the processor as half of the unpacking to it.

use parking_lot::Mutex;

/// Most rooms that are kept, each as large as the largest body that lay in it.
const KEPT_MAX: usize = 4;
/// Larger ones are let go at once, bytes.
const BYTES_MAX: usize = 4 << 20;

/// Rooms that are not in use.
#[derive(Default)]
pub(crate) struct Rooms(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    rooms: Vec<Vec<u8>>,
    /// Since the last call of [`Rooms::rest`].
    was_used: bool,
}

impl Rooms {
    /// A room, which holds anything; a new one if none is kept.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().rooms.pop().unwrap_or_default()
    }

    /// Keeps a room for the next one who asks.
    pub(crate) fn give_back(&self, room: Vec<u8>) {
        let mut kept = self.0.lock();
        kept.was_used = true;
        if room.capacity() <= BYTES_MAX && kept.rooms.len() < KEPT_MAX {
            kept.rooms.push(room);
        }
    }

    /// Lets all of them go, unless some was used since the last call.
    pub(crate) fn rest(&self) {
        let mut kept = self.0.lock();
        if !std::mem::take(&mut kept.was_used) {
            kept.rooms = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_kept_while_they_are_used() {
        let rooms = Rooms::default();
        (0..9).for_each(|_| rooms.give_back(vec![7; 100]));
        rooms.give_back(vec![7; BYTES_MAX + 1]);
        rooms.rest();
        let kept: Vec<usize> = (0..9).map(|_| rooms.take().len()).collect();
        assert_eq!(kept, [100, 100, 100, 100, 0, 0, 0, 0, 0]);
        rooms.give_back(vec![7; 100]);
        rooms.rest();
        assert_eq!(rooms.take().len(), 100);
        rooms.give_back(vec![7; 100]);
        rooms.rest();
        rooms.rest();
        assert_eq!(rooms.take().len(), 0, "nobody has used it for so long");
    }
}
