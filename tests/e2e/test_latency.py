"""How long a person waits from Enter to the new map. Reported, not asserted: the machine is shared."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from tests.e2e.explorer import Explorer

PROMPTS = 20
BUDGET_MS = 150


@pytest.mark.timeout(600)
def test_enter_to_new_map(explorer: Explorer, artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty prompts that the model has not been asked before, one chip at a time, on an encoded picture."""
    nouns = explorer.notebook.value(f"list(w.model.vocabulary.nouns)[:{PROMPTS + 5}]")
    prompts = [f"a photo of a {noun}" for noun in nouns][-PROMPTS:]
    box = explorer.get("prompt")
    watch = explorer.stopwatch()
    times = []
    for prompt in prompts:
        # Without an input event, so that nothing is asked while typing: the clock starts at Enter.
        box.focus()
        box.evaluate("(input, text) => { input.value = text; }", prompt)
        times.append(watch.press("Enter", new_answer=True)["ms"])
        explorer.expect_status("idle")
        explorer.notebook.execute(f"w.targets = [{prompt!r}]; w.wait()")
        explorer.page.wait_for_timeout(50)
    report = summary(times)
    (artifacts / "latency.json").write_text(json.dumps(report, indent=2) + "\n")
    with capsys.disabled():
        print(f"\nEnter to new map, ms: median {report['median']} (budget {BUDGET_MS}), max {report['max']}")
    assert len(times) == PROMPTS


def summary(times: list[float]) -> dict[str, object]:
    """What is reported."""
    return {
        "what": "milliseconds from Enter to the frame after the new map; built-in model, prompts not asked before",
        "median": round(statistics.median(times), 1),
        "p90": round(statistics.quantiles(times, n=10)[-1], 1),
        "max": round(max(times), 1),
        "budget_median": BUDGET_MS,
        "times": [round(time, 1) for time in times],
    }
