# `just` alone lists these.
_:
    @just --list --unsorted

# Format, lints, unit tests, docs and layers: under 30 s after a build
quick:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo test --lib
    cargo test --test it -- docs:: layers::

# What every change must pass
ci:
    .ci/run

# The newcomer's first command
try:
    cargo run --release -- run samples/close-false-positives.csv --emulator --yes

# All tests
test:
    cargo test

# Format, then look for what the compiler and clippy know better
tidy:
    cargo fmt
    cargo clippy --all-targets -- -D warnings

# The documentation of the code, opened
doc:
    cargo doc --no-deps --open

# Licences, sources, duplicates and advisories of the dependencies (needs cargo-deny)
deny:
    cargo deny check

# The fuzz targets, ten minutes each unless told otherwise (needs nightly and cargo-fuzz)
fuzz *SECONDS_AND_TARGETS:
    fuzz/run {{SECONDS_AND_TARGETS}}

# The picture in the README, from a real run (needs tmux and python3)
picture:
    cargo build --release
    docs/picture/make
