#!/bin/sh
# Cleaning 1,200 JPEG photographs of about 512 pixels (300 parts of 48 photographs, and three changed copies of each):
# all checks of Peregrine's `clean` beside cleanvision's checks and imagededup's PHash, all cores, in turn, on the same
# files; and how many of the changed copies each finds.
#   PEERS=path/to/venv benches/clean.sh [ROUNDS [PHOTOS]]
# PEERS is a Python environment with cleanvision, imagededup and scikit-learn (see photos.py).
# DEBS may name a folder that keeps the packages of photographs between runs.
set -eu
name=clean needs="cleanvision, imagededup and scikit-learn" shape="512 300 --copies"
. "$(dirname "$0")/peers.sh"
ours=$(example throughput)

for _ in $(seq "$rounds"); do # A B A B ...
    "$ours" "$photos" 0 "$work/ours" >"$work/a"
    "$python" "$here/clean_peer.py" "$photos" "$work/theirs" >"$work/b" 2>/dev/null
    awk '$1 == "processor" { print $2 }' "$work/a" >>"$work/peregrine.processor"
    awk '$1 ~ /_processor$/ { sub(/_processor/, "", $1); print $2 >>("'"$work"'/" $1 ".processor") }' "$work/b"
    awk '$1 == "seconds" { print $2 }' "$work/a" >>"$work/peregrine"
    awk '$1 == "cleanvision" { print $2 }' "$work/b" >>"$work/cleanvision"
    awk '$1 == "imagededup" { print $2 }' "$work/b" >>"$work/imagededup"
done
n=$(find "$photos" -name '*.jpg' | wc -l)
echo "$n photographs, $(nproc) cores, $rounds rounds in turn, median (range):"
for who in peregrine cleanvision imagededup; do
    awk -v who=$who -v n="$n" -v s="$(median "$work/$who" %.3f)" -v range="$(spread "$work/$who" %.2f)" \
        -v cpu="$(median "$work/$who.processor" %.2f)" -v cpus="$(spread "$work/$who.processor" %.2f)" \
        'BEGIN { printf "  %-12s %.2f s (%s), %.0f images a second; %s s of processor time (%s)\n", who, s, range, n / s, cpu, cpus }'
done
for who in cleanvision imagededup; do
    awk -v who=$who -v a="$(median "$work/peregrine" %.3f)" -v b="$(median "$work/$who" %.3f)" \
        -v least="$(sort -n "$work/peregrine" | head -1)" -v other="$(sort -n "$work/$who" | head -1)" \
        'BEGIN { printf "  ratio to %s %.1f, of the shortest times %.1f (at least %d is wanted)\n", who, b / a, other / least, who == "cleanvision" ? 20 : 3 }'
done
# A copy is found when a pair joins it to a file of the same number; a pair of two numbers is false.
recall() {
    awk -v who="$2" -v n="$n" '{ a = $1; b = $2; sub(/.*\//, "", a); sub(/.*\//, "", b); ka = substr(a, 1, 4); kb = substr(b, 1, 4)
        if (ka == kb) { found[a] = found[b] = 1 } else { wrong++ } }
        END { for (f in found) have++; printf "  %s: %d of %d files are joined to a copy of themselves, %d pairs of different photographs\n", who, have, n, wrong }' "$1"
}
recall "$work/ours" peregrine
recall "$work/theirs" imagededup
