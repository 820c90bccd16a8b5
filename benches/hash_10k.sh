#!/bin/sh
# Listing and hashing 10,000 source files of 100 kB each (1 GB, in the page cache): `status` of a pipeline that
# has never run, whole process; the memory of earlier hashes is removed before every round.
#   PEREGRINE=target/debug/peregrine benches/hash_10k.sh [ROUNDS]
set -eu
peregrine=$(realpath "${PEREGRINE:-target/debug/peregrine}")
rounds=${1:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PEREGRINE_HOME="$work/home"

# A stream that no two files share, cut into pieces of 100,000 bytes.
mkdir -p images/a images/b
for class in a b; do
    (cd images/$class && openssl enc -aes-128-ctr -pass "pass:$class" -nosalt -pbkdf2 </dev/zero 2>/dev/null |
        head -c 500000000 | split -b 100000 -a 4 -d --additional-suffix=.png - "")
done
cat >hash.yaml <<'YAML'
name: hash
stages:
  ingest: { params: { source: { name: image_folder, root: images } } }
YAML
cat images/*/* >/dev/null
for _ in $(seq "$rounds"); do
    rm -rf home
    begun=$(date +%s%N)
    "$peregrine" status hash.yaml >output 2>&1 || { cat output >&2; echo "error: \`status\` failed" >&2; exit 1; }
    ended=$(date +%s%N)
    grep -q ingest output || { echo "error: \`status\` says nothing of the stage" >&2; exit 1; }
    echo $(((ended - begun) / 1000000))
done >unsorted
sort -n unsorted >times
# A run remembers what it hashed; files younger than two seconds are hashed again.
sleep 3
"$peregrine" run hash.yaml --quiet >output 2>&1 || { cat output >&2; echo "error: \`run\` failed" >&2; exit 1; }
begun=$(date +%s%N)
"$peregrine" run hash.yaml --quiet >output 2>&1
again=$((($(date +%s%N) - begun) / 1000000))
middle=$(sed -n "$(((rounds + 1) / 2))p" times)
echo "listing and hashing 10,000 files, 1 GB, $rounds rounds, $(nproc) cores (at least 1.0 GB/s is wanted):"
echo "  first   $middle ms ($(head -n 1 times) .. $(tail -n 1 times)), $(awk -v t="$middle" 'BEGIN { printf "%.2f", 1000 / t }') GB/s"
echo "  again   $again ms (a second run: files that did not change are not read)"
