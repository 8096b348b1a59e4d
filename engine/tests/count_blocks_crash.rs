//! The process dies where blocks of counts are written, named and deleted.

mod counts_world;
mod dying;

use counts_world::*;
