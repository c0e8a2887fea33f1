"""Dense Inverse Search of vg-flow beside OpenCV's: milliseconds per pair in turns on one thread, and end-point errors on the same frames.

    cargo build --release -p vg-flow --example dis_speed
    dense_flow.py                          the frames of the example, 512x256
    dense_flow.py --photo street.jpg       a picture of yours, cut to 512x256 and moved by the same motions
    dense_flow.py --json FILE              the figures as JSON

Both sides take turns in each round, several runs each; the figure of a round is its quickest run, the figure of a table the median of rounds,
the ratio the median of the rounds' ratios. The first errors leave out 25 pixels on each side, those of the whole frame follow.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

SEARCHES = ("ultrafast", "fast", "medium", "medium-0")
MOTIONS = ("shift", "zoom", "zoom-block", "long-shift", "turn")
# Left out of the first error: points that a motion takes out of the frame cannot be found.
RIM = 25


def opencv(search):
    presets = {
        "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
        "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
        "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
    }
    dis = cv2.DISOpticalFlow.create(presets[search.removesuffix("-0")])
    if search.endswith("-0"):
        dis.setFinestScale(0)
    return dis


def read_flo(path):
    raw = path.read_bytes()
    width, height = np.frombuffer(raw, "<i4", 2, 4)
    return np.frombuffer(raw, "<f4", offset=12).reshape(height, width, 2)


def error(flow, truth, rim):
    distance = np.linalg.norm(flow.astype(np.float64) - truth, axis=2)
    height, width = distance.shape
    return float(distance[rim : height - rim, rim : width - rim].mean())


def take_photo(path, folder, height, width):
    """Replaces the frames by the photo: the previous frame is the photo, the current one is sampled from it where the motion points."""
    photo = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if photo is None or photo.shape[0] < height or photo.shape[1] < width:
        raise SystemExit(f"{path}: expected a picture of at least {width} x {height}")
    scale = max(height / photo.shape[0], width / photo.shape[1])
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:height, :width]
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    for name in MOTIONS:
        motion = read_flo(folder / f"{name}.flo")
        moved = cv2.remap(
            photo, xs + motion[..., 0], ys + motion[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        (folder / f"{name}.previous").write_bytes(photo.tobytes())
        (folder / f"{name}.current").write_bytes(moved.tobytes())


def compare(folder, server, arguments, height, width):
    rows = []
    for name in MOTIONS:
        truth = read_flo(folder / f"{name}.flo")
        frame = lambda what: np.fromfile(folder / f"{name}.{what}", np.uint8).reshape(height, width)  # noqa: E731
        current, previous = frame("current"), frame("previous")
        for search in SEARCHES:
            dis = opencv(search)
            theirs, ours = [], []
            for _ in range(arguments.rounds):
                least = float("inf")
                for _ in range(arguments.runs):
                    begin = time.perf_counter()
                    flow = dis.calc(current, previous, None)
                    least = min(least, (time.perf_counter() - begin) * 1e3)
                theirs.append(least)
                server.stdin.write(f"{name} {height} {width} {search} {arguments.runs}\n")
                server.stdin.flush()
                ours.append(float(server.stdout.readline()))
            ours_flow = read_flo(folder / f"{name}.{search}.flo")
            row = {
                "motion": name,
                "search": search,
                "epe": error(ours_flow, truth, RIM),
                "epe_opencv": error(flow, truth, RIM),
                "epe_whole": error(ours_flow, truth, 0),
                "epe_whole_opencv": error(flow, truth, 0),
                "ms": statistics.median(ours),
                "ms_opencv": statistics.median(theirs),
                "ratio": statistics.median(a / b for a, b in zip(ours, theirs)),
            }
            rows.append(row)
            print(
                f"{name:12}{search:>11}{row['epe']:>10.4f}{row['epe_opencv']:>10.4f}"
                f"{row['epe_whole']:>10.4f}{row['epe_whole_opencv']:>10.4f}"
                f"{row['ms']:>9.1f}{row['ms_opencv']:>9.1f}{row['ratio']:>8.2f}",
                flush=True,
            )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/examples/dis_speed")
    parser.add_argument("--photo")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([arguments.binary, "make", name], check=True)
        width, height = np.frombuffer((folder / "shift.flo").read_bytes(), "<i4", 2, 4)
        if arguments.photo:
            take_photo(arguments.photo, folder, height, width)
        server = subprocess.Popen(
            [arguments.binary, "serve", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        print(
            f"{'motion':12}{'search':>11}{'EPE':>10}{'OpenCV':>10}{'whole':>10}{'OpenCV':>10}"
            f"{'ms':>9}{'OpenCV':>9}{'ratio':>8}"
        )
        rows = compare(folder, server, arguments, height, width)
        server.stdin.close()
        server.wait()
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"opencv": cv2.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
