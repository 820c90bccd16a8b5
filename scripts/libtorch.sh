#!/bin/sh
# Fetches the CPU part of LibTorch 2.9.0, which the cargo feature `tch` links, from PyPI.
#   scripts/libtorch.sh [FOLDER]       ($LIBTORCH, or ~/.cache/peregrine/libtorch-2.9.0, when none is named)
# The PyTorch wheel holds LibTorch with its headers; of its libraries only those are kept that a CPU program
# loads, and the two small CUDA libraries that libtorch_cpu.so names as its own needs. About 490 MB on disk
# (900 MB to fetch). Needs pip and python3, no GPU; building with it then needs a C++ compiler. Safe to run
# again: a complete folder is left alone, and an interrupted run leaves nothing behind at the final place.
set -eu

folder=${1:-${LIBTORCH:-${XDG_CACHE_HOME:-$HOME/.cache}/peregrine/libtorch-2.9.0}}
# Which wheels, whatever Python runs pip here: the libraries in them are the same for each.
platform="--implementation cp --python-version 3.12 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64"

# SHA-256 and name of every library.
libraries() {
    cat <<'SUMS'
7a772df91dd662f647372cb32059f0c3bd6fb2fe9cb96f00b40c2c802cba28b8  libc10.so
c3a75b33af334a3486d197dbd1584a2985183ba4688d237a2be5f2f679329920  libcudart.so.12
fccdc5fcc7c32f8cf4b3ed9b17f7f187a185a6fa0a5bcc06e3434cbd1687c808  libcupti.so.12
59badd7c550c340a23d217c37232a4bac6e66a99f47aa273a0a0393bc7c68ddb  libgomp.so.1
672f6cfa6f5bb39094c52e400f6ca8443bfe294f06ba793def90ddf339529f5f  libtorch.so
77854139ef7770293f97bcc567479550f6e91a31ef6f62b2327cdb5c4d26f688  libtorch_cpu.so
SUMS
}

complete() {
    [ -f "$folder/build-version" ] && [ -f "$folder/include/torch/csrc/api/include/torch/torch.h" ] &&
        (cd "$folder/lib" && libraries | sha256sum -c --quiet - >/dev/null 2>&1)
}

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    echo "error: these wheels are for Linux on x86-64 (get LibTorch 2.9.0 for this system from pytorch.org and set LIBTORCH to its folder)" >&2
    exit 1
fi
if complete; then
    echo "LibTorch 2.9.0 is in $folder"
    exit 0
fi
python=$(command -v python3) || { echo "error: python3 is not here (it unpacks the wheels)" >&2; exit 1; }
pip="$python -m pip"
$pip --version >/dev/null 2>&1 || { echo "error: pip is not here (install it for \`$python\`)" >&2; exit 1; }

parent=$(dirname "$folder")
mkdir -p "$parent"
work=$(mktemp -d "$parent/.libtorch-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

echo "fetching the wheels (900 MB) ..."
# shellcheck disable=SC2086 # the options are words on purpose
$pip download --quiet --no-deps --only-binary=:all: $platform --dest "$work/wheels" \
    torch==2.9.0 nvidia-cuda-runtime-cu12==12.8.90 nvidia-cuda-cupti-cu12==12.8.90

echo "unpacking ..."
"$python" - "$work/wheels" "$work/libtorch" <<'UNPACK'
import pathlib, shutil, sys, zipfile

wheels, out = map(pathlib.Path, sys.argv[1:])
keep = {
    "torch/lib/": {"libc10.so", "libgomp.so.1", "libtorch.so", "libtorch_cpu.so"},
    "nvidia/cuda_runtime/lib/": {"libcudart.so.12"},
    "nvidia/cuda_cupti/lib/": {"libcupti.so.12"},
}
for wheel in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = pathlib.PurePosixPath(name)
            if name.startswith("torch/include/") and not name.endswith("/"):
                target = out / "include" / path.relative_to("torch/include")
            elif any(name == folder + path.name and path.name in names for folder, names in keep.items()):
                target = out / "lib" / path.name
            else:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
UNPACK
echo 2.9.0 >"$work/libtorch/build-version"

(cd "$work/libtorch/lib" && libraries | sha256sum -c --quiet -) || {
    echo "error: the wheels do not hold the libraries that were expected (was another build of torch 2.9.0 found first? see \`pip config list\`)" >&2
    exit 1
}
if [ -e "$folder" ]; then mv "$folder" "$work/old"; fi
mv "$work/libtorch" "$folder"
echo "LibTorch 2.9.0 is in $folder"
