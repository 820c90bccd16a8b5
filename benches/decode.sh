#!/bin/sh
# Decoding JPEG photographs of 500×375 and bringing them to 224×224, one core: Peregrine beside torchvision (Pillow's
# decoder, antialiased resize), in turn, on the same files.
#   PEERS=path/to/venv benches/decode.sh [ROUNDS [PHOTOS]]
# PEERS is a Python environment with torchvision, pillow and scikit-learn; it is needed to make the photographs, too
# (see photos.py), unless PHOTOS names a folder of folders of JPEG files.
set -eu
here=$(dirname "$0")
python=${PEERS:+$(realpath "$PEERS/bin/python" --no-symlinks)}
rounds=${1:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$python" ]; then
    echo "decode: not timed (set PEERS to a Python environment with torchvision and scikit-learn)"
    exit 0
fi
photos=${2:-$work/photos}
[ -d "$photos" ] || "$python" "$here/photos.py" "$photos" 500 300
${CARGO:-cargo} build --quiet -p peregrine-data --example decode
ours=${CARGO_TARGET_DIR:-target}/debug/examples/decode

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.0f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
spread() { sort -n "$1" | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.0f .. %.0f", low, high }'; }
for _ in $(seq "$rounds"); do # A B A B ...
    "$ours" "$photos" 224 >"$work/a"
    "$python" "$here/decode_peer.py" "$photos" 224 >"$work/b"
    for side in a b; do
        awk '$1 == "decode" { print $2 }' "$work/$side" >>"$work/$side.decode"
        awk '$1 == "decode+resize" { print $2 }' "$work/$side" >>"$work/$side.resize"
    done
done
echo "JPEG photographs, one core, images a second of its time, $rounds rounds in turn, median (range):"
for what in decode resize; do
    echo "  $what: peregrine $(median "$work/a.$what") ($(spread "$work/a.$what")), torchvision $(median "$work/b.$what") ($(spread "$work/b.$what"))"
    awk -v what=$what -v a="$(median "$work/a.$what")" -v b="$(median "$work/b.$what")" 'BEGIN { printf "  %s ratio %.2f%s\n", what, a / b, what == "resize" ? " (at least 2 is wanted of decoding and resizing)" : "" }'
done
