"""The front end's second files: everything in the page that needs a kernel, handed over when asked.

``live.js`` is the explorer's, ``gallery.js`` the inspector's. The first file, ``widget.js`` or ``inspect.js``, is
stored with every widget in every saved notebook and is kept small; it knows the second file that belongs to it by its
hash (``js/build.mjs``). The page names no file: what it says is a hash, and there are two.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent.parent / "static" / "live.js"
GALLERY = FILE.with_name("gallery.js")


def live_part(expected: str) -> tuple[dict[str, Any], list[bytes]]:
    """The message, and its buffer, for a page whose first file expects the second with this hash.

    Read anew each time: while the front end is worked on, both files change under a running kernel.
    """
    found: dict[str, bytes] = {}
    for file in (FILE, GALLERY):
        try:
            code = file.read_bytes()
        except OSError:
            return _without(
                f"a part of the front end, {file.name}, is missing: in the project's folder run: cd js && npm run build"
            )
        found[hash_of(code)] = code
    if expected not in found:
        return _without(
            f"the page has the front end of another version of legrad-widget (it expects {expected}, here is "
            f"{' and '.join(found)}): restart the kernel, run the cell again, and reload the page"
        )
    return {"kind": "live", "hash": expected, "message": ""}, [found[expected]]


def hash_of(code: bytes) -> str:
    """As ``js/build.mjs`` writes it into the first file."""
    return hashlib.sha256(code).hexdigest()[:16]


def _without(why: str) -> tuple[dict[str, Any], list[bytes]]:
    return {"kind": "live", "hash": "", "message": f"The tools cannot be loaded: {why}."}, []
