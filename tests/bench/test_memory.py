"""Peak memory of encode + LeGrad (cls) beside a plain forward.

The instrument of the budget is the process's resident high-water mark (what ``/usr/bin/time -v`` calls maximum
resident set size) minus the bytes of the weights, each run in a process of its own. Two sharper looks are reported
beside it, because that figure also holds Python and the libraries: the same mark over what is resident before the
first forward, and the peak of live tensor bytes in PyTorch's allocator. There the tokens that make every later prompt
free are plain to see.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, re, sys, torch
torch.set_num_threads(1)
from tests.bench import vit_b16

def status(key):
    return int(re.search(key + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

def reset_peak():
    open("/proc/self/clear_refs", "w").write("5")

def plain():
    return vit_b16.plain_forward()

def ours():
    return vit_b16.model().encode(vit_b16.image()).explain(vit_b16.prompts(1), pool="cls")

run = {"plain": plain, "ours": ours}[sys.argv[1]]
vit_b16.clip(), vit_b16.image(), vit_b16.prompts(1), vit_b16.lw.wrap
before = status("VmRSS")
reset_peak()
held = run()
peak_resident = status("VmHWM")

from torch.profiler import ProfilerActivity, profile
with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
    run()
events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
live = peak = 0
for event in sorted(events, key=lambda e: e.start_ns()):
    live += event.nbytes()
    peak = max(peak, live)
weights = sum(p.nbytes for p in vit_b16.clip().parameters())
print(json.dumps({"resident": peak_resident - weights, "forward": peak_resident - before, "allocator": peak}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; runs on Linux")
def test_peak_memory_of_encode_and_legrad(capsys):
    def measure(which: str) -> dict[str, int]:
        done = subprocess.run([sys.executable, "-c", PROGRAM, which], capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    plain, ours = measure("plain"), measure("ours")
    mib, meaning = 2**20, {"resident": "peak resident minus weights", "forward": "peak resident over start",
                           "allocator": "peak of live tensors"}  # fmt: skip
    with capsys.disabled():
        for name, what in meaning.items():
            a, b = plain[name] / mib, ours[name] / mib
            print(f"\n    {what}: plain {a:.1f} MiB, encode + LeGrad {b:.1f} MiB, ratio {b / a:.2f}")
    held = (13 + 12) * 4 * 197 * 768
    assert ours["allocator"] <= plain["allocator"] + held  # nothing beyond the forward's own peak and what is kept
    assert ours["resident"] <= 1.3 * plain["resident"]
