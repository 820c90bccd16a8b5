"""Seconds that cleanvision's checks, and imagededup's PHash, take on a folder: `clean_peer.py FOLDER OUT`.
Prints `cleanvision SECONDS` and `imagededup SECONDS`, the same of processor time (`cleanvision_processor`, …; without
loading the libraries), and writes the near duplicates that imagededup finds to OUT, one
pair a line."""

import contextlib
import io
import os
import pathlib
import sys
import time
import warnings

warnings.filterwarnings("ignore")
folder, out = sys.argv[1:]


def processor():
    """The processor time of this process and of those that ended, in seconds."""
    return sum(os.times()[:4])


quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
with quiet[0], quiet[1]:
    from cleanvision import Imagelab
    from imagededup.methods import PHash

    begun, used = time.perf_counter(), processor()
    Imagelab(data_path=folder).find_issues(n_jobs=2)
    cleanvision, cleanvision_used = time.perf_counter() - begun, processor() - used
    begun, used = time.perf_counter(), processor()
    hasher = PHash(verbose=False)
    codes = hasher.encode_images(image_dir=folder, recursive=True, num_enc_workers=2)
    found = hasher.find_duplicates(encoding_map=codes, max_distance_threshold=10, num_dist_workers=2)
    imagededup, imagededup_used = time.perf_counter() - begun, processor() - used
print(f"cleanvision {cleanvision:.3f}\nimagededup {imagededup:.3f}")
print(f"cleanvision_processor {cleanvision_used:.3f}\nimagededup_processor {imagededup_used:.3f}")
pairs = {tuple(sorted((a, b))) for a, others in found.items() for b in others}
pathlib.Path(out).write_text("".join(f"{a} {b}\n" for a, b in sorted(pairs)))
