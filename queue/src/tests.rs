//! Tests that need to see or to fail what happens to the files.
