"""The object of a sample on the backgrounds of other samples: does the answer hang on what is around the object?

For causes that are spread over the background, which no small region explains. Needs masks, and asks the model about
pictures that are put together: :func:`filled` takes the object out of a background, :func:`composed` puts another in.

Measured by ``python -m legrad_widget.inspection.shortcut_story --backgrounds`` on 400 scenes of the built-in shortcuts,
4 backgrounds each; share of answers that change on backgrounds of another answer, and on those of the same (control):
57 errors that the snow made 100 % and 0 %, 48 that the sticker made 100 % and 0 % (it is outside of the masks too, but
one patch is enough), 27 right wolves (all on snow) 100 % and 0 %, 188 right answers that are neither wolf nor horse
29 % and 2 %: they change where a wolf's or a horse's background brings snow or a sticker along.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..erasure import surroundings
from ..models.capture import plain_arithmetic
from ..models.forward import batch_size, features_of_pictures
from ..models.view import UnsupportedModel
from .contrasting import surest_first
from .identity import digest
from .mask_sources import Mask
from .problem import InspectionError, PictureGone, Problem
from .progress_bar import with_bar
from .readable import as_text
from .sample_mask import mask_share, picture_size
from .streaming import specification

if TYPE_CHECKING:
    import pandas as pd

    from .inspection import Inspection

Progress = Callable[[int, int], None]
Pixels = NDArray[np.uint8]
Row = tuple[Any, ...]
CLEAR = 0.2  # by so much more than the control an answer must change to be called clear
ALL_OBJECT = "its mask covers the whole picture: nothing is left that is background"
_HELD = 64  # backgrounds at a time
_STAY = "Nearly all answers stay on any background: they do not rest on it."
_COLUMNS = ("label", "predicted", "changed", "true", "becomes", "control_changed", "control_true", "others", "controls")


@dataclass(frozen=True, slots=True, eq=False)
class OnOtherBackgrounds:
    """What became of answers when the objects stood on other backgrounds. ``str()`` says what it means.

    Attributes:
        table: one row per sample: ``label``, ``predicted``; the share of the backgrounds of samples that were taken for
            another class on which the answer is another (``changed``) and on which it is the true class (``true``), and
            which other answer is the most frequent there (``becomes``, "" where none changes); the shares for
            backgrounds of samples that were taken for the same class (``control_changed``, ``control_true``; nan where
            there is no such sample); how many backgrounds there were of each (``others``, ``controls``).
        n: how many of each were wanted. ``seed``: of their choice.
        left_out: by the number of a sample why it is not in the table.
        known: by the number of a sample its row, of all that were asked about so far with this ``n`` and ``seed``, by
            these answers and masks: the table and more.
        answers, masks: what tells the answers and the drawn masks of then from others.
    """

    table: pd.DataFrame = field(repr=False)
    n: int
    seed: int
    left_out: dict[int, str] = field(repr=False)
    known: dict[int, Row] = field(repr=False)
    answers: str = field(repr=False)
    masks: str = field(repr=False)

    _repr_pretty_ = as_text

    @property
    def changed(self) -> float:
        """Mean share of other backgrounds on which the answer is another; nan without any sample."""
        return self._mean("changed")

    @property
    def true(self) -> float:
        """Mean share of other backgrounds on which the answer is the true class."""
        return self._mean("true")

    @property
    def control_changed(self) -> float:
        """The same as :attr:`changed` on backgrounds of the class that it was taken for; nan where there are none."""
        return self._mean("control_changed")

    @property
    def control_true(self) -> float:
        """The same as :attr:`true` on backgrounds of the class that it was taken for."""
        return self._mean("control_true")

    @property
    def beyond_control(self) -> float:
        """By how much more the answers change on other backgrounds than on those of their own class, over the samples
        that have both; nan where none has."""
        both = self.table.dropna(subset=["changed", "control_changed"])
        return float((both["changed"] - both["control_changed"]).mean()) if len(both) else float("nan")

    def __len__(self) -> int:
        return len(self.table)

    def __str__(self) -> str:
        count, left = len(self), len(self.left_out)
        if not count:
            return "No sample was asked about."
        out = f"{self._most} {left} {'was' if left == 1 else 'were'} left out, see left_out." if left else self._most
        lines = [
            f"{count} sample{'s' * (count != 1)}, each on up to {self.n} backgrounds of samples that were taken for "
            f"another class: {self.changed:.0%} of the answers change, {self.true:.0%} are the true class then.{out}"
        ]
        missing = int(self.table["control_changed"].isna().sum())
        if missing < count:
            of = f" ({count - missing} of the {count} samples)" * bool(missing)
            lines.append(
                f"Control, backgrounds of samples that were taken for the same class{of}: "
                f"{self.control_changed:.0%} change, {self.control_true:.0%} are the true class."
            )
        else:
            lines.append("There is no control: no other sample with a mask was taken for the same class.")
        return "\n".join((*lines, self._means()))

    @property
    def _most(self) -> str:
        """What they become, for people."""
        most = Counter(name for name in self.table["becomes"] if name).most_common(3)
        return f" Most become {', '.join(f'{name} ({count})' for name, count in most)}." if most else ""

    def _means(self) -> str:
        beyond = self.beyond_control
        if np.isnan(beyond):
            if self.changed < CLEAR:
                return _STAY
            return "Whether the background did that, or the pasting, cannot be told without a control."
        if beyond >= CLEAR:
            return (
                f"That is {100 * beyond:.0f} points more than pasting does: so many of these answers rest on what is "
                "outside of the masks, on one spot (then r.flip_set(i) is small) or on the background as a whole."
            )
        if self.control_changed >= CLEAR:
            return "Pasting alone does about the same: this says nothing for or against the background."
        return _STAY if self.changed < CLEAR else "That is not clearly more than pasting does."

    def _mean(self, column: str) -> float:
        values = self.table[column].dropna()
        return float(values.mean()) if len(values) else float("nan")


@with_bar(" samples")
def on_other_backgrounds(
    inspection: Inspection, rows: Any = None, n: int = 4, *, seed: int = 0, progress: Progress | None = None
) -> OnOtherBackgrounds:
    """Put the object of each sample onto the backgrounds of other samples, and ask the model again.

    The object (what is under the sample's mask) keeps its place and its pixels; the background of the donor is scaled
    until it covers the picture, and cut in the middle. The donor's own object is filled from its surroundings first.
    Donors have a mask, and were taken for another class than the sample; those that are right come first, in random
    order. As control the object is put onto backgrounds of samples that were taken for the *same* class, chosen alike:
    how often the answer changes there is what pasting does, whatever the background.

    What it cannot tell: a pasted object has hard edges, other light and the halo of a mask that is too wide or too
    narrow, so these pictures are not like those that the model was trained on: read the numbers beside the control.
    A mask that leaves out a part of the object moves that part with the background; of a box all that is inside counts
    as object. A sample's true class may need its background as much as the wrong one does. And a few backgrounds are
    few: with n=4 the share of one sample is known to a quarter; sum up over many, or raise ``n``.

    The inspection keeps the latest, as ``transplanted``, and fills the column ``background_changes``. What was found
    before with the same ``n`` and ``seed``, by the same answers and masks, is taken as it is: stop whenever you like,
    and the next call goes on from there.

    Args:
        rows: as :meth:`Inspection.rows` takes them; None: all errors, the surest first.
        n: backgrounds per sample, and as many for the control; fewer where there are not so many donors.
        seed: of the choice of donors; each sample's do not depend on which others are asked about.
        progress: called with (step, total) of what is still to be found, before each; raises to cancel.

    Samples without a mask, and those whose picture is gone, are left out and told in ``left_out``; such donors are
    passed over.

    Cost: 1 + 2 n forwards per sample; what was found before costs nothing.

    Raises:
        InspectionError: there are no masks or no model, not one sample could be asked about (all with a mask were taken
            for one class, say), or an argument cannot be.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InspectionError(f"n is how many other backgrounds each object is put on, from 1; arrived: {n!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InspectionError(f"seed is a whole number from 0; arrived: {seed!r}")
    if not inspection.masks.any:
        raise InspectionError(
            "to tell an object from its background masks are needed, and there are none: "
            "lw.inspect(..., masks=[...]) or boxes=[...], or r.draw_mask(i, mask)"
        )
    wanted = surest_first(inspection) if rows is None else [inspection.answered(at) for at in inspection.rows(rows)]
    known, now = _known(inspection, int(n), int(seed)), (answers_digest(inspection), drawn_digest(inspection))
    missing = [at for at in wanted if at not in known]
    if missing:
        inspection.needs_model("ask about other backgrounds")
    left_out: dict[int, str] = {}
    donors = Donors(inspection, int(seed))
    try:
        for step, at in enumerate(missing):
            if progress is not None:
                progress(step, len(missing))
            specification(inspection)  # says so where the weights changed meanwhile
            try:
                known[at] = _asked(inspection, donors, at, int(n))
            except (InspectionError, UnsupportedModel) as error:
                left_out[at] = str(error)
    finally:  # also of what was stopped
        found = result(wanted, int(n), int(seed), left_out, known, *now)
        if len(found):
            inspection.transplanted = found
            inspection.changed()
    if left_out and not len(found):
        at, why = next(iter(left_out.items()))
        raise InspectionError(
            f"not one of {len(left_out)} samples could be put on another background; of sample {at}: {why}"
        )
    return found


def result(
    wanted: Iterable[int], n: int, seed: int, left_out: dict[int, str], known: dict[int, Row], answers: str, masks: str
) -> OnOtherBackgrounds:
    """Of what is known the rows that are wanted, in their order."""
    import pandas as pd

    rows = {at: known[at] for at in wanted if at in known}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(_COLUMNS)).rename_axis("sample")
    return OnOtherBackgrounds(table, n, seed, left_out, known, answers, masks)


def _known(inspection: Inspection, n: int, seed: int) -> dict[int, Row]:
    """What was found before and still holds."""
    for at in inspection.masks.drawn:
        with suppress(InspectionError):  # one that cannot be used is told when it is asked about
            mask_share(inspection, at)
    found = inspection.transplanted
    same = found is not None and (found.n, found.seed) == (n, seed) and not outdated(inspection)
    return dict(found.known) if found is not None and same else {}


def outdated(inspection: Inspection) -> str:
    """A sentence where the latest result is of other answers or masks than those of now; "" where it is not."""
    found = inspection.transplanted
    if found is None:
        return ""
    if found.answers != answers_digest(inspection):
        return "There are other answers since, and other backgrounds to choose from with them: ask again."
    if found.masks != drawn_digest(inspection):
        return "Masks changed since: ask again for the masks of now."
    return ""


def answers_digest(inspection: Inspection) -> str:
    """What tells these answers from others: they decide which samples are wrong, and who gives a background."""
    at = inspection.scored
    return digest(at, *(inspection.records[name][at].astype(np.int64) for name in ("label", "predicted"))).hex()


def drawn_digest(inspection: Inspection) -> str:
    """What tells the drawn masks, as they lie on patches, from others."""
    drawn = sorted(inspection.masks.drawn)
    return digest(drawn, *(inspection.covers.get(at) for at in drawn)).hex()


def changes_column(known: Mapping[int, Row], count: int) -> NDArray[np.float64]:
    """By sample the share of other backgrounds on which the answer is another; nan where that is not known."""
    column = np.full(count, np.nan)
    column[list(known)] = [row[_COLUMNS.index("changed")] for row in known.values()]
    return column


def _asked(inspection: Inspection, donors: Donors, at: int, n: int) -> Row:
    """One row of the table."""
    mask = mask_of(inspection, at)
    if mask.all():
        raise InspectionError(ALL_OBJECT)
    names, label, predicted = inspection.class_names, int(inspection.records["label"][at]), inspection.pair(at)[0]
    picture = inspection.picture(at)
    others, controls = (donors.backgrounds(at, n, same=same) for same in (False, True))
    if not others:
        raise InspectionError(
            f"no other sample with a mask was taken for another class than {inspection.class_names[predicted]!r}; "
            "inspect samples of several classes together, with masks"
        )
    shown = [picture, *(composed(picture, mask, one) for one in (*others, *controls))]
    before, *said = answers(inspection, shown).tolist()
    if before != predicted:  # logits that were given, or a tensor that its picture does not show exactly
        raise InspectionError(
            f"the model calls its picture {names[before]!r}, and the answer on record is {names[predicted]!r}"
        )
    there, control = np.array(said[: len(others)], np.int64), np.array(said[len(others) :], np.int64)
    moved = Counter(there[there != predicted].tolist()).most_common(1)
    return (
        names[label], names[predicted], _share(there != predicted), _share(there == label),
        names[moved[0][0]] if moved else "", _share(control != predicted), _share(control == label),
        len(others), len(controls),
    )  # fmt: skip


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if hits.size else float("nan")


class Donors:
    """Backgrounds of the samples that have masks; the latest are held, as small as the model needs them."""

    def __init__(self, inspection: Inspection, seed: int):
        self._inspection, self._seed = inspection, seed
        self._held: OrderedDict[int, Image.Image] = OrderedDict()
        self._useless: set[int] = set()

    def order(self, at: int, *, same: bool) -> list[int]:
        """Samples that were taken for the same class as ``at``, or for another: right ones first, else at random."""
        records, scored = self._inspection.records, self._inspection.scored
        others = scored[scored != at]
        alike = records["predicted"][others] == records["predicted"][at]
        wrong = records["predicted"][others] != records["label"][others]
        chosen = alike == same
        others, wrong = others[chosen], wrong[chosen]
        random = np.random.default_rng((self._seed, at, int(same))).permutation(len(others))
        found: list[int] = others[random[np.argsort(wrong[random], kind="stable")]].tolist()
        return found

    def backgrounds(self, at: int, n: int, *, same: bool) -> list[Image.Image]:
        """The first ``n`` that can be used, without the objects on them."""
        found: list[Image.Image] = []
        for donor in self.order(at, same=same):
            if len(found) == n:
                break
            background = self._background(donor)
            if background is not None:
                found.append(background)
        return found

    def _background(self, at: int) -> Image.Image | None:
        if at in self._useless:
            return None
        if at not in self._held:
            try:
                self._held[at] = self._made(at)
            except InspectionError:
                self._useless.add(at)
                return None
            while len(self._held) > _HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(at)
        return self._held[at]

    def _made(self, at: int) -> Image.Image:
        mask, picture = mask_of(self._inspection, at), self._inspection.picture(at)
        largest = 2 * max(self._inspection.size)  # more the model does not see
        if max(picture.size) > largest:
            picture = ImageOps.contain(picture, (largest, largest))
            # a pixel that is object in part counts as object: what shines through at its edge would be seen
            covered = Image.fromarray(mask.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.BOX)
            mask = np.asarray(covered) > 0
        if mask.all():
            raise InspectionError(ALL_OBJECT)
        return Image.fromarray(filled(np.asarray(picture), mask))


def filled(picture: Pixels, mask: Mask) -> Pixels:
    """A picture [H, W, 3] whose pixels under ``mask`` [H, W] are the mean of those around, rounded; see
    :func:`legrad_widget.erasure.surroundings`."""
    around = surroundings(picture.transpose(2, 0, 1), mask).transpose(1, 2, 0)
    result = picture.copy()
    result[mask] = np.clip(np.rint(around[mask]), 0, 255).astype(np.uint8)
    return result


def composed(picture: Image.Image, mask: Mask, background: Image.Image) -> Image.Image:
    """The picture's own pixels under ``mask``, and elsewhere the background, scaled to cover and cut in the middle."""
    fitted = np.asarray(ImageOps.fit(background, picture.size, Image.Resampling.BICUBIC))
    return Image.fromarray(np.where(mask[..., None], np.asarray(picture), fitted))


def answers(inspection: Inspection, pictures: list[Image.Image]) -> NDArray[np.int64]:
    """[n] the predicted classes of pictures, seen as this inspection sees its samples.

    Raises:
        UnsupportedModel: an answer is not finite.
    """
    scores, model = inspection.scores, inspection.scores.model
    size = inspection.batch or batch_size(model.vit, inspection.grid)
    parts = []
    for batch in _parts(pictures, size):
        views = [model.preprocess.view(one, inspection.size, inspection.fit).tensor for one in batch]
        with model.lock, plain_arithmetic(model.vit.device):
            logits = scores(features_of_pictures(model.vit, torch.stack(views)))[1]
        parts.append(logits.double().cpu().numpy().argmax(1))
    return np.concatenate(parts)


def _parts(pictures: list[Image.Image], size: int) -> Iterator[list[Image.Image]]:
    for start in range(0, len(pictures), size):
        yield pictures[start : start + size]


def mask_of(inspection: Inspection, at: int) -> Mask:
    """[H, W] a sample's mask at the size of its picture.

    Raises:
        InspectionError: it has none, or it cannot be used; the latter is listed among the problems too.
    """
    size = picture_size(inspection, at)
    try:
        mask = inspection.masks.of(at, size)
    except PictureGone:
        raise
    except InspectionError as error:
        told = Problem(at, inspection.samples.names[at], "mask", str(error))
        if told not in inspection.found:
            inspection.keep(told)
        raise
    if mask is None:
        raise InspectionError("it has no mask")
    return mask
