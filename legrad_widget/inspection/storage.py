"""An inspection as a folder: a manifest, a table for people, and arrays; and back again, with or without the model.

``manifest.json`` names every other file and is written last, as a whole: a folder is the old inspection or the new one,
never half of each. No pickle; the table is Parquet where pyarrow is installed, else CSV, and only for reading: what is
opened again comes from manifest and arrays.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, astuple, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import atomic_file
from .aligning import Measured
from .backgrounds import OnOtherBackgrounds, result
from .calibration import Calibration
from .class_specificity import Specific
from .cluster_cards import Card, Clusters
from .contrasting import on_disk
from .evidence import Overlay
from .flip_set import FlipSet
from .mask_sources import Masks, of_png, to_png
from .overlap import Alignment, Thresholds
from .problem import InspectionError, Problem
from .sample_mask import picture_size

if TYPE_CHECKING:
    from .inspection import Inspection

FORMAT, SCHEMA = "legrad_widget inspection", 1
MANIFEST = "manifest.json"
Table = Literal["parquet", "csv"]


def save(inspection: Inspection, folder: str | os.PathLike[str], *, table: Table | None = None) -> Path:
    """Write everything that is known into a folder; :func:`legrad_widget.inspection.open_inspection` reads it.

    Pictures stay where they are: their paths are kept, and thumbnails. Masks are kept, and evidence maps as far as they
    were made.

    Args:
        folder: made if need be. An inspection that is there is replaced, as a whole; other files are left alone.
        table: "parquet" (needs pyarrow) or "csv"; None: Parquet where it can be written.

    Raises:
        InspectionError: Parquet without pyarrow, or another table. OSError: it cannot be written; what was there stays.
    """
    place = Path(folder).expanduser()
    if place.exists() and not place.is_dir():
        raise InspectionError(f"an inspection is saved as a folder, and {place} is a file; name another")
    kind = _table_kind(table)
    place.mkdir(parents=True, exist_ok=True)
    for at in inspection.scored.tolist():
        with suppress(InspectionError):  # a picture that is gone has none
            inspection.thumbnail(at)
    mark = secrets.token_hex(4)
    maps = on_disk(inspection, inspection.overlay) | inspection.maps.everything()
    masks = _masks(inspection)
    with inspection.lock:
        shown, arrays, said = inspection.frame, _arrays(inspection, maps) | masks, _manifest(inspection, maps)
    names = {"table": f"samples.{kind}", "arrays": f"arrays-{mark}.npz"}
    atomic_file.write(place / names["table"], _written(shown, kind))
    atomic_file.write(place / names["arrays"], _npz(arrays))
    said |= {"files": names}
    path = atomic_file.write(place / MANIFEST, (json.dumps(said, indent=1, allow_nan=False) + "\n").encode())
    _tidy(place, names.values())
    return path.parent


def _table_kind(table: Any) -> Table:
    if table not in (None, "parquet", "csv"):
        raise InspectionError(f"table is 'parquet' or 'csv'; arrived: {table!r}")
    if table == "csv":
        return "csv"
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        if table == "parquet":
            raise InspectionError(
                "Parquet needs pyarrow: pip install legrad-widget[parquet], or save(folder, table='csv')"
            ) from None
        return "csv"
    return "parquet"


def _written(shown: Any, kind: Table) -> bytes:
    if kind == "csv":
        return bytes(shown.to_csv().encode("utf-8"))
    buffer = io.BytesIO()
    shown.to_parquet(buffer)
    return buffer.getvalue()


def _npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _tidy(place: Path, kept: Iterable[str]) -> None:
    """Remove what an earlier save left."""
    names = set(kept)
    for pattern in ("arrays-*.npz", "samples.parquet", "samples.csv"):
        for path in place.glob(pattern):
            if path.name not in names:
                path.unlink(missing_ok=True)


def _arrays(inspection: Inspection, maps: dict[tuple[int, str], bytes]) -> dict[str, NDArray[Any]]:
    records = inspection.records
    measured = inspection.measured
    cards = inspection.clustered.cards if inspection.clustered else ()
    arrays = {f"record.{name}": records[name] for name in records.dtype.names or ()}
    arrays |= {"status": inspection._status, "digests": inspection.digests, "selected": inspection._chosen}
    arrays |= _packed("thumbnails", inspection.small) | _packed("maps", maps.values())
    arrays |= {
        "maps.sample": np.array([at for at, _ in maps], np.int64),
        "covers.sample": np.array(list(inspection.covers), np.int64),
        "covers": _stacked(inspection.covers.values()),
        "measured.sample": np.array(list(measured), np.int64),
        "measured": np.array([[astuple(one.predicted), astuple(one.true)] for one in measured.values()], np.float64),
        "flip_sets": _stacked(found.removed for found in inspection.flip_sets.values()),
        "cards": _stacked(card.mean_map for card in cards),
        "cards.region": _stacked(card.region for card in cards),
        "clusters.points": inspection.clustered.points if inspection.clustered else np.zeros((0, 2), np.float32),
    }
    if inspection.disagreement is not None:
        arrays["disagreement"] = inspection.disagreement
    return arrays


def _masks(inspection: Inspection) -> dict[str, NDArray[Any]]:
    """The masks that were drawn, and those of all samples that are not skipped, as PNG; each with its kind."""
    masks = inspection.masks
    kept = [(at, "drawn", to_png(mask)) for at, mask in masks.drawn.items()]
    given = replace(masks, drawn={})
    for at in sorted({*inspection.scored.tolist(), *inspection.pending.tolist()}) if given.any else ():
        with suppress(InspectionError):  # a mask or picture that is gone
            mask = given.of(at, picture_size(inspection, at))
            if mask is not None:
                kept.append((at, "boxes" if given.coarse(at) else "given", to_png(mask)))
    return _packed("masks", (written for _, _, written in kept)) | {
        "masks.sample": np.array([at for at, _, _ in kept], np.int64),
        "masks.kind": np.array([_MASKS.index(kind) for _, kind, _ in kept], np.uint8),
    }


_MASKS = ("given", "boxes", "drawn")


def _restored_masks(arrays: dict[str, NDArray[Any]]) -> Masks:
    """What :func:`_masks` kept; none of a folder that was saved before there was that."""
    masks = Masks()
    if "masks" not in arrays:
        return masks
    rows, kinds = arrays["masks.sample"].tolist(), arrays["masks.kind"].tolist()
    for at, kind, written in zip(rows, kinds, unpacked(arrays, "masks"), strict=True):
        if _MASKS[kind] == "drawn":
            masks.drawn[at] = of_png(written)
        else:
            masks.kept[at] = written, _MASKS[kind] == "boxes"
    return masks


def _stacked(values: Iterable[NDArray[Any]]) -> NDArray[Any]:
    held = list(values)
    return np.stack(held) if held else np.zeros((0, 0, 0))


def _packed(name: str, parts: Iterable[bytes]) -> dict[str, NDArray[Any]]:
    """Bytes of many things one after the other, and where each ends."""
    held = list(parts)
    ends = np.cumsum([len(part) for part in held], dtype=np.int64)
    return {name: np.frombuffer(b"".join(held), np.uint8), f"{name}.end": ends}


def unpacked(arrays: Any, name: str) -> list[bytes]:
    """The parts that :func:`_packed` put together."""
    whole, ends = arrays[name].tobytes(), arrays[f"{name}.end"].tolist()
    return [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _manifest(inspection: Inspection, maps: Iterable[tuple[int, str]]) -> dict[str, Any]:
    from .. import __version__

    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "library": __version__,
        "model": inspection.model_name,
        "asked": None if inspection.asked is None else inspection.asked[1].hex(),
        "class_names": list(inspection.class_names),
        "templates": list(inspection.templates),
        "fit": inspection.fit,
        "size": list(inspection.size),
        "names": list(inspection.samples.names),
        "paths": [_absolute(name) for name in inspection.samples.files],
        "labels": [_plain(inspection.samples.called(label)) for label in inspection.samples.labels or ()],
        "overlay": asdict(inspection.overlay),
        "thresholds": asdict(inspection.thresholds),
        "problems": [asdict(one) for one in inspection.found],
        "tags": {str(at): list(tags) for at, tags in inspection.tags.items() if tags},
        "notes": {str(at): text for at, text in inspection.notes.items() if text},
        "flip_sets": {str(at): _of_flip_set(found) for at, found in inspection.flip_sets.items()},
        "measured_by": [
            [None if one.overlay is None else asdict(one.overlay), one.binarise] for one in inspection.measured.values()
        ],
        "specificity": {
            str(at): [_number(found.value), asdict(found.overlay)] for at, found in inspection.specificities.items()
        },
        "map_methods": [method for _, method in maps],
        "calibration": _of_calibration(inspection.calibrated),
        "clusters": _of_clusters(inspection.clustered),
        "backgrounds": _of_backgrounds(inspection.transplanted),
    }


def _absolute(name: str) -> str:
    return str(Path(name).expanduser().absolute()) if name else ""


def _plain(label: Any) -> int | str | None:
    """A label as JSON holds it."""
    if isinstance(label, float) and label.is_integer():
        return int(label)
    return label if isinstance(label, int | str) else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _of_calibration(found: Calibration | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "rows": list(found.frame.index),
        "columns": list(found.frame.columns),
        "values": [[_number(value) for value in row] for row in found.frame.to_numpy(np.float64)],
        "overlays": [asdict(overlay) for overlay in found.overlays],
        "by": found.by,
        "samples": list(found.samples),
        "coarse": found.coarse,
        "errors": found.errors,
        "masks": found.masks,
    }


_NOT_PLAIN = ("removed", "random_flips", "overlay", "names")


def _of_flip_set(found: FlipSet) -> dict[str, Any]:
    names = [field.name for field in fields(FlipSet) if field.name not in _NOT_PLAIN]
    overlay = None if found.overlay is None else asdict(found.overlay)
    said = {name: getattr(found, name) for name in names}
    return said | {"random_flips": _number(found.random_flips), "overlay": overlay}


def _of_clusters(found: Clusters | None) -> dict[str, Any] | None:
    if found is None:
        return None
    cards = [
        {
            "members": list(card.members),
            "pairs": [list(pair) for pair in card.pairs],
            "margins": list(card.margins),
            "flips": _number(card.flips),
            "random_flips": _number(card.random_flips),
        }
        for card in found.cards
    ]
    return {
        "cards": cards,
        "overlay": asdict(found.overlay),
        "weights": list(found.weights),
        "silhouette": _number(found.silhouette),
        "k": found.k,
        "rows": list(found.rows),
        "shown": list(found.shown),
        "errors": found.errors,
    }


def _of_backgrounds(found: OnOtherBackgrounds | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "n": found.n,
        "seed": found.seed,
        "rows": [int(at) for at in found.table.index],
        "left_out": {str(at): why for at, why in found.left_out.items()},
        "known": {str(at): [_none_of_nan(value) for value in row] for at, row in found.known.items()},
        "answers": found.answers,
        "masks": found.masks,
    }


def _none_of_nan(value: Any) -> Any:
    return _number(value) if isinstance(value, float) else value


def read(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Manifest and arrays of a saved inspection.

    Raises:
        InspectionError: no inspection, a newer one, or a damaged one. FileNotFoundError: no such folder.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise FileNotFoundError(f"there is no folder {place}")
    try:
        said = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InspectionError(f"{place} is no saved inspection: it has no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise InspectionError(f"the inspection in {place} is damaged: its manifest cannot be read ({error})") from error
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise InspectionError(f"{place} is no saved inspection: its manifest is of something else")
    if said.get("schema") != SCHEMA:
        raise InspectionError(
            f"the inspection in {place} has schema {said.get('schema')!r}, and this version reads {SCHEMA}; "
            f"it was written by legrad_widget {said.get('library')}: use that version or a newer one"
        )
    try:
        name = Path(said["files"]["arrays"]).name  # a manifest names files in its own folder, never others
        with np.load(io.BytesIO((place / name).read_bytes()), allow_pickle=False) as held:
            return said, dict(held)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InspectionError(f"the inspection in {place} is damaged: its arrays cannot be read ({error})") from error


def restore(inspection: Inspection, said: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Put what was saved into an inspection that knows nothing yet."""
    count, begin = inspection.total, len("record.")
    held = {name[begin:]: array for name, array in arrays.items() if name.startswith("record.")}
    layout = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in held.items()])
    inspection.records = np.zeros(count, layout)
    for name, array in held.items():
        inspection.records[name] = array
    inspection._status, inspection.digests = arrays["status"], arrays["digests"]
    inspection._chosen = arrays["selected"]
    inspection.small = unpacked(arrays, "thumbnails")
    places = zip(arrays["maps.sample"].tolist(), said["map_methods"], strict=True)
    inspection.maps.saved = dict(zip(places, unpacked(arrays, "maps"), strict=True))
    inspection.covers = dict(zip(arrays["covers.sample"].tolist(), arrays["covers"], strict=True))
    inspection.masks = _restored_masks(arrays)
    inspection.measured = _measured(said, arrays)
    inspection.disagreement = arrays.get("disagreement")
    inspection.found = [Problem(**one) for one in said["problems"]]
    inspection.overlay, inspection.thresholds = Overlay(**said["overlay"]), Thresholds(**said["thresholds"])
    inspection.tags = {int(at): tuple(tags) for at, tags in said["tags"].items()}
    inspection.notes = {int(at): text for at, text in said["notes"].items()}
    inspection.flip_sets = {
        int(at): replace(_flip_set(one, removed), names=inspection.class_names)
        for (at, one), removed in zip(said["flip_sets"].items(), arrays["flip_sets"], strict=True)
    }
    inspection.specificities = {
        int(at): Specific(_told(value), Overlay(**overlay))
        for at, (value, overlay) in said.get("specificity", {}).items()
    }
    inspection.model_name = said["model"]
    inspection.calibrated = _calibration(said["calibration"])
    inspection.clustered = _clusters(said["clusters"], arrays)
    inspection.transplanted = _backgrounds(said.get("backgrounds"))


def _told(value: Any) -> Any:
    return float("nan") if value is None else value


def _overlay(said: dict[str, Any] | None) -> Overlay | None:
    return None if said is None else Overlay(**said)


def _measured(said: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[int, Measured]:
    """By which map and rule is not in folders that an earlier version wrote."""
    samples, width = arrays["measured.sample"].tolist(), len(fields(Alignment))
    pairs = arrays["measured"].reshape(-1, 2, width).tolist()
    by = said.get("measured_by") or [(None, "half")] * len(samples)
    return {
        at: Measured(Alignment(*pair[0]), Alignment(*pair[1]), _overlay(overlay), rule)
        for at, pair, (overlay, rule) in zip(samples, pairs, by, strict=True)
    }


def _flip_set(said: dict[str, Any], removed: NDArray[Any]) -> FlipSet:
    known = {"random_flips": _told(said["random_flips"]), "overlay": _overlay(said.get("overlay"))}
    return FlipSet(removed, **{**said, **known})


def _calibration(said: dict[str, Any] | None) -> Calibration | None:
    import pandas as pd

    if said is None:
        return None
    values = np.array([[_told(value) for value in row] for row in said["values"]])
    frame = pd.DataFrame(values, index=said["rows"], columns=said["columns"])
    return Calibration(
        frame, tuple(Overlay(**one) for one in said["overlays"]), said["by"], tuple(said["samples"]),
        said.get("coarse"), said.get("errors", 0), said.get("masks", ""),
    )  # fmt: skip


def _clusters(said: dict[str, Any] | None, arrays: dict[str, NDArray[Any]]) -> Clusters | None:
    if said is None:
        return None
    cards = tuple(
        Card(
            number, tuple(one["members"]), map_, region, tuple((a, b, n) for a, b, n in one["pairs"]),
            tuple(one["margins"]), _told(one["flips"]), _told(one["random_flips"]),
        )
        for number, (one, map_, region) in enumerate(
            zip(said["cards"], arrays["cards"], arrays["cards.region"], strict=True), 1
        )
    )  # fmt: skip
    a, b, c = said["weights"]
    points = arrays.get("clusters.points", np.zeros((0, 2), np.float32))
    x, y = said.get("shown", (0.0, 0.0))
    return Clusters(
        cards, Overlay(**said["overlay"]), (a, b, c), _told(said["silhouette"]), said.get("k"),
        tuple(said.get("rows", ())), points, (x, y), said.get("errors", 0),
    )  # fmt: skip


def _backgrounds(said: dict[str, Any] | None) -> OnOtherBackgrounds | None:
    """Nothing of a folder that was saved before there was that."""
    if said is None:
        return None
    known = {int(at): tuple(map(_told, row)) for at, row in said["known"].items()}
    left_out = {int(at): why for at, why in said["left_out"].items()}
    return result(said["rows"], said["n"], said["seed"], left_out, known, said["answers"], said["masks"])
