//! Tests of the queue from outside. `suite` is what every adapter of the `Queue` port has to pass.

#![allow(missing_docs)]

mod basics;
mod checkpoints;
mod concurrency;
mod conformance;
mod crash;
mod model;
mod suite;
mod support;
