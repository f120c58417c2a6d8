"""Memory stays bounded however many pictures one widget is given: counted in a process of its own, on real objects."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PICTURES, SETTLED = 200, 50
"""All of them, and after how many nothing should grow any more."""
SIDE = 384
PICTURE_BYTES = 3 * SIDE**2

PROGRAM = f"""
import gc, json, re, threading, tracemalloc
import numpy as np, torch
torch.set_num_threads(1)
import legrad_widget as lw
from legrad_widget.explainer import Encoding
from legrad_widget.explanation import Explanation
from legrad_widget.widget.question import Photo

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

def look(w):
    gc.collect()
    kinds = {{Photo: "photos", Encoding: "encodings", Explanation: "explanations"}}
    counts = dict.fromkeys(kinds.values(), 0)
    for thing in gc.get_objects():
        if type(thing) in kinds:
            counts[kinds[type(thing)]] += 1
    live, _ = tracemalloc.get_traced_memory()
    return counts | dict(memory=w._memory.nbytes, resident=resident(), live=live, threads=threading.active_count())

noise = np.random.default_rng(0)
picture = lambda: noise.integers(0, 256, ({SIDE}, {SIDE}, 3), dtype=np.uint8)
w = lw.explore(picture(), ["a cat", "a dog"])
w.wait()
tracemalloc.start()
looks, seen = [], set()
for number in range(1, {PICTURES} + 1):
    w.image = picture()
    w.wait()
    seen.add(hash(w.explanation.maps.tobytes()))
    if number in ({SETTLED}, {PICTURES}):
        looks.append(look(w))
print(json.dumps(dict(looks=looks, different=len(seen))))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; runs on Linux")
def test_memory_stays_bounded_over_200_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["different"] == PICTURES  # every picture was really looked at
    settled, end = found["looks"]
    with capsys.disabled():
        print(f"\n    after {SETTLED}: {settled}\n    after {PICTURES}: {end}")
    # The picture on the screen and its encoding; one explanation for each of two targets.
    assert (end["photos"], end["encodings"], end["explanations"]) == (1, 1, 2)
    assert end["memory"] == settled["memory"]
    assert end["threads"] == settled["threads"]
    assert end["live"] - settled["live"] < PICTURE_BYTES  # of what Python has allocated: not one picture more
    # Of what the process holds, tensors included. All pictures kept would be 66 MB, without their encodings.
    assert end["resident"] - settled["resident"] < 0.1 * (PICTURES - SETTLED) * PICTURE_BYTES
