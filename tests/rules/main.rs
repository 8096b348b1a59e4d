//! Rule files in Prometheus' format, in the running server: beside a real Prometheus, over a restart, over a reload.

mod beside;
mod life;
mod pages;
