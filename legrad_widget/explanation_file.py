"""Explanations on disk: a .npz file of plain arrays, with a JSON manifest and the picture as PNG in it. No pickle.

The file is a zip archive: ``maps.npy``, ``heads.npy``, ``prefix.npy``, ``scores.npy`` (what there is of them, float32),
``manifest.json`` and ``picture.png``. ``numpy.load`` opens it without this library, and so does any unzip program.
"""

from __future__ import annotations

import io
import json
import math
import os
import platform
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import atomic_file
from .target import Class, Concept, Contrast, Direction, Target, Text

if TYPE_CHECKING:
    from .explanation import Explanation

FORMAT = "legrad_widget explanation"
VERSION = 1
ARRAYS = ("maps", "heads", "prefix", "scores")
LARGEST = 2 << 30
"""Bytes that a file may unpack to."""
_MAYBE_NAN = ("score", "seconds")
_FACTS: dict[str, type | tuple[type, ...]] = {
    "layers": list,
    "score": (float, int, type(None)),
    "score_name": str,
    "probability": (float, int, type(None)),
    "probability_of": str,
    "supported": (bool, type(None)),
    "note": str,
    "signed": bool,
    "window": list,
    "input_size": list,
    "merge": str,
    "default": str,
    "method": str,
    "knobs": dict,
    "model": str,
    "label": str,
    "seconds": (float, int, type(None)),
}
_LATER: dict[str, type | tuple[type, ...]] = {"reliability": (list, type(None))}
"""Facts that files of older versions of this library lack: then there are none."""
_STAMP = (1980, 1, 1, 0, 0, 0)  # the same explanation gives the same bytes
_LIBRARIES = ("numpy", "torch", "timm", "open_clip_torch")


class ExplanationFileError(ValueError):
    """A file is no explanation of ours, or not a whole one; the message says what is wrong with it."""


def save(x: Explanation, path: str | os.PathLike[str]) -> Path:
    """Write an explanation; see :meth:`Explanation.save`.

    Raises:
        OSError: the file cannot be written; the sentence says why. TypeError: a knob that JSON has no form for.
    """
    file = Path(path)
    file = file if file.suffix == ".npz" else file.with_name(file.name + ".npz")
    return atomic_file.write(file, packed(x))


def packed(x: Explanation) -> bytes:
    """The bytes of the file."""
    arrays = {name: getattr(x, name) for name in ARRAYS if getattr(x, name) is not None}
    vectors: dict[str, NDArray[Any]] = {}
    facts = {name: _plain(getattr(x, name)) for name in (*_FACTS, *_LATER)} | {
        "target": _described(x.target, "target", vectors)
    }
    manifest = {"format": FORMAT, "version": VERSION, "made_with": _versions(), **facts}
    try:
        said = json.dumps(manifest, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"the explanation's knobs cannot be written as JSON ({error}): {dict(x.knobs)!r}") from None
    picture = io.BytesIO()
    x.picture.save(picture, "PNG")
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        _put(archive, "manifest.json", said.encode())
        for name, array in {**arrays, **vectors}.items():
            written = io.BytesIO()
            np.lib.format.write_array(written, np.ascontiguousarray(array), allow_pickle=False)
            _put(archive, f"{name}.npy", written.getvalue())
        _put(archive, "picture.png", picture.getvalue())
    return whole.getvalue()


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of the Explanation in a file; see :meth:`Explanation.load`.

    Raises:
        ExplanationFileError: another kind of file, a newer version, a damaged one. OSError: it cannot be read.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}; x.save(path) writes one")
    try:
        with zipfile.ZipFile(file) as archive:
            return _fields(archive)
    except ExplanationFileError as error:
        raise ExplanationFileError(f"{file} {error}") from None
    except zipfile.BadZipFile:
        raise ExplanationFileError(f"{file} is no explanation: x.save(path) writes .npz files") from None
    except (KeyError, ValueError, TypeError, EOFError, OSError, SyntaxError, RuntimeError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise ExplanationFileError(f"{file} is damaged: {str(error)[:200]}") from error


# -------------------------------------------------------------------- writing


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _STAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _plain(value: Any) -> Any:
    """A fact as JSON has it; nan, where a method or model has no such number, is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _described(target: Any, name: str, vectors: dict[str, NDArray[Any]]) -> dict[str, Any] | None:
    """A target as JSON; the numbers of a direction go into an array of their own."""
    if isinstance(target, Text):
        return {"kind": "text", "text": target.text, "control": target.control, "templates": list(target.templates)}
    if isinstance(target, Class):
        return {"kind": "class", "index": target.index, "name": target.name}
    if isinstance(target, Direction):
        vectors[name] = target.vector
        return {"kind": "direction", "label": target.label, "vector": name}
    if isinstance(target, Contrast):
        sides = {side: _described(getattr(target, side), f"{name}_{side}", vectors) for side in ("a", "b")}
        return {"kind": "contrast", **sides}
    if isinstance(target, Concept):
        return {"kind": "concept", "label": target.label}
    return None


def _versions() -> dict[str, str]:
    import legrad_widget

    found = {"legrad_widget": legrad_widget.__version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


# -------------------------------------------------------------------- reading


def _fields(archive: zipfile.ZipFile) -> dict[str, Any]:
    names = archive.namelist()
    if "manifest.json" not in names:
        raise ExplanationFileError("is no explanation: it has no manifest")
    if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
        raise ExplanationFileError(f"would unpack to more than {LARGEST >> 30} GiB, and is not opened")
    manifest = json.loads(archive.read("manifest.json"))
    _check_version(manifest)
    arrays = {name: _array(archive, name) if f"{name}.npy" in names else None for name in ARRAYS}
    facts = _facts(manifest)
    _check_shapes(arrays, len(facts["layers"]))
    _check_reliability(facts["reliability"], len(facts["layers"]))
    with Image.open(io.BytesIO(archive.read("picture.png")), formats=["PNG"]) as opened:
        picture = opened.convert("RGB")
    return {**arrays, **facts, "picture": picture, "target": _target(manifest.get("target"), archive)}


def _check_version(manifest: Any) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ExplanationFileError("is no explanation: its manifest is another program's")
    found = manifest.get("version")
    if not isinstance(found, int) or found < 1:
        raise ExplanationFileError(f"is damaged: its version is {found!r}")
    if found > VERSION:
        made = manifest.get("made_with")
        by = made.get("legrad_widget", "newer") if isinstance(made, dict) else "newer"
        raise ExplanationFileError(
            f"is of version {found}, made by legrad_widget {by}: update legrad_widget to read it"
        )


def _facts(manifest: dict[str, Any]) -> dict[str, Any]:
    manifest = dict.fromkeys(_LATER) | manifest
    for name, kind in (_FACTS | _LATER).items():
        if name not in manifest or not isinstance(manifest[name], kind):
            raise ExplanationFileError(f"is damaged: {name} is {str(manifest.get(name, 'missing'))[:60]!r}")
    facts = {name: manifest[name] for name in (*_FACTS, *_LATER)}
    for name, count in (("window", 4), ("input_size", 2)):
        if len(facts[name]) != count or not all(isinstance(number, int | float) for number in facts[name]):
            raise ExplanationFileError(f"is damaged: {name} is {str(facts[name])[:60]}")
    layers = facts["layers"]
    if not layers or not all(isinstance(layer, int) and layer > 0 for layer in layers) or layers != sorted(set(layers)):
        raise ExplanationFileError(f"is damaged: layers is {str(layers)[:60]}")
    if facts["merge"] not in ("mean", "last") or facts["default"] not in ("all", "last"):
        raise ExplanationFileError(f"is damaged: merge is {facts['merge']!r}, default is {facts['default']!r}")
    tuples = {name: facts[name] and tuple(facts[name]) for name in ("layers", "window", "input_size", "reliability")}
    numbers = {name: math.nan if facts[name] is None else float(facts[name]) for name in _MAYBE_NAN}
    return {**facts, **tuples, **numbers}


def _check_reliability(trust: Any, depth: int) -> None:
    if trust is None:
        return
    if len(trust) != depth or not all(isinstance(number, int | float) and 0 <= number <= 1 for number in trust):
        raise ExplanationFileError(f"is damaged: reliability is {str(trust)[:60]}")


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[np.float32]:
    with archive.open(f"{name}.npy") as opened:
        array = np.lib.format.read_array(io.BytesIO(opened.read()), allow_pickle=False)
    if array.dtype != np.float32:
        raise ExplanationFileError(f"is damaged: {name} is {array.dtype}, not float32")
    return np.ascontiguousarray(array)


def _check_shapes(arrays: dict[str, NDArray[np.float32] | None], depth: int) -> None:
    maps, scores = arrays["maps"], arrays["scores"]
    if maps is None or scores is None:
        raise ExplanationFileError("is damaged: it lacks its maps or scores")
    expected: dict[str, tuple[int | None, ...]] = {
        "maps": (depth, None, None),
        "heads": (depth, None, *maps.shape[1:]),
        "prefix": (depth, None),
        "scores": (depth,),
    }
    for name, sides in expected.items():
        array = arrays[name]
        if array is None:
            continue
        fits = array.ndim == len(sides) and all(
            side in (None, got) for side, got in zip(sides, array.shape, strict=True)
        )
        if not fits or (name != "prefix" and array.size == 0):
            raise ExplanationFileError(f"is damaged: {name} has shape {array.shape} for {depth} layers")
        if name != "scores" and not np.isfinite(array).all():
            raise ExplanationFileError(f"is damaged: {name} has values that are not finite")


def _target(said: Any, archive: zipfile.ZipFile) -> Target | None:
    """The target; None for a concept, whose example pictures are not in the file."""
    kind = said.get("kind") if isinstance(said, dict) else None
    if kind == "text":
        return Text(said["text"], bool(said["control"]), tuple(said["templates"]))
    if kind == "class":
        return Class(said["index"], said["name"])
    if kind == "direction":
        return Direction(_array(archive, str(said["vector"])), str(said["label"]))
    if kind == "contrast":
        sides = [_target(said[side], archive) for side in ("a", "b")]
        return None if None in sides else Contrast(*sides)
    return None
