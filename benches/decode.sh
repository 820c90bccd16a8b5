#!/bin/sh
# Decoding JPEG photographs of 500×375 and bringing them to 224×224, one core: Peregrine beside torchvision (Pillow's
# decoder, antialiased resize), in turn, on the same files.
#   PEERS=path/to/venv benches/decode.sh [ROUNDS [PHOTOS]]
# PEERS is a Python environment with torchvision, pillow and scikit-learn; it is needed to make the photographs, too
# (see photos.py), unless PHOTOS names a folder of folders of JPEG files.
set -eu
name=decode needs="torchvision and scikit-learn" shape="500 300"
. "$(dirname "$0")/peers.sh"
ours=$(example decode)

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
    echo "  $what: peregrine $(median "$work/a.$what" %.0f) ($(spread "$work/a.$what" %.0f)), torchvision $(median "$work/b.$what" %.0f) ($(spread "$work/b.$what" %.0f))"
    awk -v what=$what -v a="$(median "$work/a.$what" %.0f)" -v b="$(median "$work/b.$what" %.0f)" 'BEGIN { printf "  %s ratio %.2f%s\n", what, a / b, what == "resize" ? " (at least 2 is wanted of decoding and resizing)" : "" }'
done
