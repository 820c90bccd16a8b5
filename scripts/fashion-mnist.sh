#!/bin/sh
# Fetches the four Fashion-MNIST IDX files (MIT) into a folder and checks their SHA-256.
#   scripts/fashion-mnist.sh [FOLDER]        (data/raw/fashion-mnist when none is named)
# They come from the Debian package `dataset-fashion-mnist`, so this needs apt-get and dpkg. Elsewhere, put
# the files of https://github.com/zalandoresearch/fashion-mnist into the folder yourself: only the unpacked
# bytes are checked, so any gzip of them will do.
set -eu
folder=${1:-data/raw/fashion-mnist}

checked() {
    while read -r sum name; do
        [ -f "$folder/$name.gz" ] || return 1
        [ "$(gzip -dc "$folder/$name.gz" | sha256sum | cut -d' ' -f1)" = "$sum" ] || return 1
    done <<SUMS
c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888 train-images-idx3-ubyte
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9 train-labels-idx1-ubyte
5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b t10k-images-idx3-ubyte
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34 t10k-labels-idx1-ubyte
SUMS
}

if checked; then echo "$folder: complete"; exit 0; fi
command -v apt-get >/dev/null && command -v dpkg >/dev/null || {
    echo "error: apt-get and dpkg are not here (put the four .gz files into \`$folder\` by hand)" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -qq dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb package)
mkdir -p "$folder"
cp "$work"/package/usr/share/datasets/fashion-mnist/*.gz "$folder/"
checked || { echo "error: the files in \`$folder\` are not those expected (delete the folder and try again)" >&2; exit 1; }
echo "$folder: fetched"
