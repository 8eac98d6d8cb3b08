#!/bin/sh
# Breaks one promise after another, each in a copy of the program, and counts the seeds of the simulation until that is
# seen. Prints the table of docs/mutations.md. The mutations are the patches beside this script; the first line of each
# says what it breaks.
#
#   tests/mutations.sh [NAME…]      SEEDS=2000: give up after so many
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
seeds=${SEEDS:-2000}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

git -C "$root" archive HEAD | tar -x -C "$copy"
echo 'mod simulation;' > "$copy/tests/it/main.rs"
if [ $# -eq 0 ]; then set -- $(ls "$root/tests/mutations" | sed 's/\.patch$//'); fi

echo '| broken promise | seeds until it was seen | by |'
echo '| --- | ---: | --- |'
for name; do
    patch="$root/tests/mutations/$name.patch"
    (cd "$copy" && patch -s -p1 < "$patch")
    said=$(cd "$copy" && BULK_TRIAGE_FIRST_SEED=0 BULK_TRIAGE_SEEDS=$seeds CARGO_TARGET_DIR="$root/target/mutations" \
        timeout 1200 cargo test --quiet --test it no_seed_breaks_a_promise 2>&1) && status=0 || status=$?
    after=$(echo "$said" | sed -n 's/^after \([0-9]*\) seeds.*/\1/p' | head -n 1)
    by=$(echo "$said" | sed -n 's/^ *[0-9.]* BREACH //p' | head -n 1 | tr '|' '/' | cut -c 1-100)
    case $status in
        0) after="none in $seeds"; by='**survives**' ;;
        124) after='-'; by='it never ends' ;;
    esac
    echo "| $(head -n 1 "$patch" | sed 's/\.$//') (\`$name\`) | ${after:-?} | ${by:-$(echo "$said" | tail -n 1)} |"
    (cd "$copy" && patch -s -R -p1 < "$patch")
done
