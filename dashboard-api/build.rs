//! Packs the built files of `web/dist` for the binary: compressed once, at build time.
//!
//! The files themselves are committed, so that this needs nothing but cargo; `cargo xtask web-check` compares them
//! with a fresh build of their sources.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() {
    let dist = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../web/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let mut names: Vec<String> = fs::read_dir(dist.join("assets"))
        .unwrap_or_else(|error| panic!("{}: {error}; build it: cd web && npm ci && npm run build", dist.display()))
        .map(|entry| entry.expect("a readable folder").file_name().into_string().expect("a name in ASCII"))
        .collect();
    names.sort();
    let mut table = String::from("static ASSETS: &[Asset] = &[\n");
    for name in &names {
        let gz = out.join(format!("{name}.gz"));
        compress(&dist.join("assets").join(name), &gz);
        let kind = content_type(name);
        writeln!(table, "    Asset {{ name: {name:?}, kind: {kind:?}, gzip: include_bytes!({gz:?}) }},")
            .expect("a string takes all");
    }
    let index = dist.join("index.html").canonicalize().expect("the index is built with the rest");
    writeln!(table, "];\nstatic INDEX: &str = include_str!({index:?});").expect("a string takes all");
    fs::write(out.join("assets.rs"), table).expect("the output folder can be written");
}

fn compress(from: &Path, to: &Path) {
    let bytes = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes).expect("memory takes all");
    fs::write(to, encoder.finish().expect("memory takes all")).expect("the output folder can be written");
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => panic!("{name}: which content type has it?"),
    }
}
