# `just` alone lists these.
_:
    @just --list --unsorted

# Check format, lints, unit tests, docs and layers: under 30 s after a build
quick:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo test --lib
    cargo test --test it -- docs:: layers::

# Run what every change must pass
ci:
    .ci/run

# The README's first command: 30 rows to the emulator
try:
    cargo run --release -- run samples/close-false-positives.csv --emulator --yes

# Run all tests
test:
    cargo test

# Format and lint
tidy:
    cargo fmt
    cargo clippy --all-targets -- -D warnings

# Build and open the documentation of the code
doc:
    cargo doc --no-deps --open

# Check licenses, sources, duplicates and advisories of the dependencies (needs cargo-deny)
deny:
    cargo deny check

# Run the fuzz targets, ten minutes each by default (needs nightly and cargo-fuzz)
fuzz *SECONDS_AND_TARGETS:
    fuzz/run {{SECONDS_AND_TARGETS}}

# Build all packages into target/packages, install and run them (docs/packages.md says what it needs)
package *ARCHITECTURES:
    packaging/package {{ARCHITECTURES}}
    packaging/try

# Create the picture in the README from a real run (needs tmux and python3)
picture:
    cargo build --release
    docs/picture/make
