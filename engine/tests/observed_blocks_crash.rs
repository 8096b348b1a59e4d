//! The process dies where blocks of observations are written, named and deleted.

mod dying;
mod observed_world;

use observed_world::*;
