#!/bin/sh
# Breaks one promise at a time in a copy of the program, and reports what notices it. Prints the first table of
# docs/mutations.md. The mutations are the patches in tests/mutations: the first line of each says what it breaks. A
# second line `Test: NAME` names the test that must fail, in tests/it or the library; without it, a seed of the simulation
# must fail.
#
#   tests/mutations.sh [NAME…]      SEEDS=2000: give up after this many seeds; LIMIT=1200: seconds for one mutation
#
# It works in a copy of HEAD and in target/mutations, and changes nothing here. A patch that does not apply, or a
# mutation that does not compile, gets a line in the table, too. Exits with 1 if a mutation is not noticed.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
seeds=${SEEDS:-2000}
limit=${LIMIT:-1200}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM
bad=0

if [ $# -eq 0 ]; then set -- $(cd "$root/tests/mutations" && ls -- *.patch | sed 's/\.patch$//'); fi

# A copy in git, so that a patch that applied only in part can be undone.
git -C "$root" archive HEAD | tar -x -C "$copy"
(cd "$copy" && git init -q && git add -A && git -c user.name=m -c user.email=m@localhost commit -qm copy)

# Runs one test of the mutated copy: $1 is --lib or --test it, $2 the test.
run() {
    (cd "$copy" && BULK_TRIAGE_FIRST_SEED=0 BULK_TRIAGE_SEEDS=$seeds CARGO_TARGET_DIR="$root/target/mutations" \
        timeout "$limit" cargo test --quiet $1 "$2" 2>&1)
}

echo '| broken promise | seeds until it is noticed | by |'
echo '| --- | ---: | --- |'
for name; do
    patch=$root/tests/mutations/$name.patch
    what=$(head -n 1 "$patch" | sed 's/\.$//')
    test=$(sed -n '2s/^Test: //p' "$patch")
    (cd "$copy" && git checkout -q . && git clean -qfd)
    if ! (cd "$copy" && patch -s -p1 < "$patch") > /dev/null 2>&1; then
        echo "| $what (\`$name\`) | - | **the patch does not apply** |"
        bad=1
        continue
    fi
    if [ -n "$test" ]; then
        if grep -q "^mod ${test%%::*};" "$copy/tests/it/main.rs"; then of='--test it'; else of=--lib; fi
        said=$(run "$of" "$test") && status=0 || status=$?
        after='test'
        by=$(echo "$said" | grep -q "^test result: FAILED" && echo "\`$test\`" || true)
    else
        # Only what the simulation needs is compiled.
        printf 'mod %s;\n' program simulation tokens > "$copy/tests/it/main.rs"
        said=$(run '--test it' no_seed_breaks_a_promise) && status=0 || status=$?
        after=$(echo "$said" | sed -n 's/^after \([0-9]*\) seeds.*/\1/p' | head -n 1)
        by=$(echo "$said" | sed -n 's/^ *[0-9.]* BREACH //p' | head -n 1 | tr '|' '/' | cut -c 1-100)
    fi
    case $status in
        0) after="none in $seeds"; by='**survives**'; bad=1 ;;
        124) after='-'; by='it never ends' ;;
    esac
    if [ -z "$by" ]; then
        by="**$(echo "$said" | grep -m 1 '^error' || echo "$said" | tail -n 1)**"
        bad=1
    fi
    echo "| $what (\`$name\`) | ${after:-?} | $by |"
done
exit $bad
