#!/bin/sh
# Cleaning 1,200 JPEG photographs of about 512 pixels (300, and three changed copies of each): all checks of Peregrine's
# `clean` beside cleanvision's checks and imagededup's PHash, all cores, in turn, on the same files; and how many of the
# changed copies each finds.
#   PEERS=path/to/venv benches/clean.sh [ROUNDS [PHOTOS]]
# PEERS is a Python environment with cleanvision, imagededup and scikit-learn (see photos.py).
set -eu
here=$(dirname "$0")
python=${PEERS:+$(realpath "$PEERS/bin/python" --no-symlinks)}
rounds=${1:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$python" ]; then
    echo "clean: not timed (set PEERS to a Python environment with cleanvision, imagededup and scikit-learn)"
    exit 0
fi
photos=${2:-$work/photos}
[ -d "$photos" ] || "$python" "$here/photos.py" "$photos" 512 300 --copies
${CARGO:-cargo} build --quiet -p peregrine-data --example throughput
ours=${CARGO_TARGET_DIR:-target}/debug/examples/throughput

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.2f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
spread() { sort -n "$1" | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.2f .. %.2f s", low, high }'; }
for _ in $(seq "$rounds"); do # A B A B ...
    "$ours" "$photos" 224 "$work/ours" >"$work/a"
    "$python" "$here/clean_peer.py" "$photos" "$work/theirs" >"$work/b" 2>/dev/null
    awk '$1 == "seconds" { print $2 }' "$work/a" >>"$work/peregrine"
    awk '$1 == "cleanvision" { print $2 }' "$work/b" >>"$work/cleanvision"
    awk '$1 == "imagededup" { print $2 }' "$work/b" >>"$work/imagededup"
done
n=$(find "$photos" -name '*.jpg' | wc -l)
echo "$n photographs, $(nproc) cores, $rounds rounds in turn, median (range):"
for who in peregrine cleanvision imagededup; do
    awk -v who=$who -v n="$n" -v s="$(median "$work/$who")" -v range="$(spread "$work/$who")" \
        'BEGIN { printf "  %-12s %.2f s (%s), %.0f images a second\n", who, s, range, n / s }'
done
for who in cleanvision imagededup; do
    awk -v who=$who -v a="$(median "$work/peregrine")" -v b="$(median "$work/$who")" \
        'BEGIN { printf "  ratio to %s %.1f (at least %d is wanted)\n", who, b / a, who == "cleanvision" ? 20 : 3 }'
done
# A copy is found when a pair joins it to a file of the same number; a pair of two numbers is false.
recall() {
    awk -v who="$2" -v n="$n" '{ a = $1; b = $2; sub(/.*\//, "", a); sub(/.*\//, "", b); ka = substr(a, 1, 4); kb = substr(b, 1, 4)
        if (ka == kb) { found[a] = found[b] = 1 } else { wrong++ } }
        END { for (f in found) have++; printf "  %s: %d of %d files are joined to a copy of themselves, %d pairs of different photographs\n", who, have, n, wrong }' "$1"
}
recall "$work/ours" peregrine
recall "$work/theirs" imagededup
