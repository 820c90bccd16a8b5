"""imagededup 0.3.3's PHash and Peregrine on the same planted near duplicates.

    cargo run -p peregrine-data --example plant_near -- data/traffic_lights /tmp/planted/traffic_lights
    python tests/goldens/near_duplicates.py /tmp/planted/traffic_lights ...

Writes near_duplicates.json: for each folder the share of planted copies that were found, by what was done
to them, and the share of right ones among all pairs with a copy in it that are found at the defaults. The sets
hold near duplicates of their own (the lights are cut from videos); pairs of copies of those count neither as
right nor as wrong. Which those are is what Peregrine says of the originals, looked at by eye.
"""
import collections, json, logging, pathlib, sys, time

logging.disable(logging.INFO)
from imagededup.methods import PHash


def root(name):
    return name[:5]


def clusters(pairs):
    of = {}
    def find(a):
        while of.get(a, a) != a:
            a = of[a]
        return a
    for a, b in pairs:
        of[find(a)] = find(b)
    return find


def judge(pairs, names, real):
    copies = {name for name in names if name.count(".") > 1}
    found = {frozenset(pair) for pair in pairs}
    by = collections.defaultdict(list)
    for name in sorted(copies):
        by[name.split(".")[1]].append(frozenset((root(name) + ".png", name)) in found)
    with_copy = [pair for pair in found if pair & copies]
    right = [pair for pair in with_copy if len(set(map(root, pair))) == 1]
    wrong = sum(len(set(map(real, map(root, pair)))) > 1 for pair in with_copy)
    hits = [hit for kind in by.values() for hit in kind]
    return {
        "recall": round(sum(hits) / len(hits), 4),
        "precision": round(len(right) / max(1, len(right) + wrong), 4),
        "by_kind": {kind: round(sum(hit) / len(hit), 4) for kind, hit in sorted(by.items())},
        "pairs_among_originals": sum(not pair & copies for pair in found),
    }


here = pathlib.Path(__file__).with_suffix(".json")
result = json.loads(here.read_text()) if here.exists() else {}
for folder in map(pathlib.Path, sys.argv[1:]):
    names = sorted(path.name for path in (folder / "images").iterdir())
    ours = [pair[:2] for pair in json.loads((folder / "found.json").read_text())]
    real = clusters(tuple(map(root, pair)) for pair in ours if all(name.count(".") == 1 for name in pair))
    started = time.time()
    phash = PHash(verbose=False)
    codes = phash.encode_images(image_dir=folder / "images", num_enc_workers=2)
    found = phash.find_duplicates(encoding_map=codes, max_distance_threshold=10, num_dist_workers=2)
    seconds = time.time() - started
    theirs = [(a, b) for a, others in found.items() for b in others]
    result[folder.name] = {
        "images": len(names),
        "copies": sum(name.count(".") > 1 for name in names),
        "peregrine": judge(ours, names, real),
        "imagededup": judge(theirs, names, real),
    }
    print(folder.name, f"{seconds:.1f} s", json.dumps(result[folder.name], indent=1))
here.write_text(json.dumps(result, indent=1) + "\n")
