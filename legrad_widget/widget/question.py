"""What is asked: a picture, targets, a method and its knobs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..method import Method
from . import wire
from .chips import Chip, ClassChip
from .rules import Refused

if TYPE_CHECKING:
    from ..explainer import Encoding, Model
    from ..intervention import Change
    from ..lens import LayerRanks
    from ..models.preprocess import Fit
    from ..reliability import LayerReliability
    from ..support import Prediction


@dataclass(eq=False, slots=True)
class Photo:
    """A picture that was set or sent, as it came; the worker reads and encodes it, once."""

    rev: int
    source: Any
    name: str = ""
    picture: Image.Image | None = None
    encoding: Encoding | None = None
    wired: dict[str, Any] = field(default_factory=dict)  # as the browser knows it
    predictions: tuple[Prediction, ...] = ()
    predictions_of: str = ""
    ranks: dict[Chip, LayerRanks | None] = field(default_factory=dict)  # of every target that was answered
    calibration: LayerReliability | None = None  # what the model knew of its layers when these were ranked

    @property
    def origin(self) -> str:
        """What it is one of, where it was not passed or sent by itself; ""."""
        return ""

    @property
    def stale(self) -> bool:
        """Whether the model was trained further since; what is remembered is of another model then."""
        return self.encoding is not None and self.encoding.stale

    def encoded(self, model: Model, fit: Fit, size: Any) -> Encoding:
        """The encoding and what the model takes the picture for; made once, and again after a change of weights."""
        if self.encoding is None or self.stale:
            encoding = model.encode(self.source, fit=fit, size=size)
            self.predictions = tuple(encoding.predictions(k=5))
            self.predictions_of = encoding.predictions_of if self.predictions else ""
            self.picture = encoding.picture
            self.source = self.picture if isinstance(self.source, bytes) else self.source
            self.wired = wire.image(encoding.picture, encoding.window, rev=self.rev, name=self.name)
            self.encoding, self.ranks = encoding, {}
        return self.encoding

    def without(
        self, encoding: Encoding, patches: Any, how: Any, *, donor: int | None = None, **options: Any
    ) -> Change:
        """What the model says of the picture, encoded, when patches of it are changed.

        Raises:
            Refused: from another picture patches are pasted in the inspector alone.
        """
        if how == "paste" or donor is not None:
            raise Refused("patches are pasted from other samples in the inspector: lw.inspect(model, images, labels)")
        return encoding.without(patches, how, **options)

    def donor(self, _change: Change) -> dict[str, Any] | None:
        """The sample that a change took its patches from, as the browser knows it; None: from none."""
        return None

    def curve(self, _encoding: Encoding, _change: Change) -> dict[str, Any] | None:
        """The scores over the layers after a change, as the browser knows them; None: only a sample has two classes."""
        return None


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that an answer depends on. Equal questions have equal answers.

    ``suggest`` asks a classifier without a target for the class that it sees.
    """

    photo: Photo
    chips: tuple[Chip, ...]
    things: tuple[Any, ...] = field(compare=False)
    method: Method
    knobs: tuple[tuple[str, Any], ...]
    suggest: bool = field(default=False, compare=False)

    def about(self, place: int) -> Question:
        """The same about one target alone; where the method compares the targets, about that one before all others."""
        if self.method.together:
            others = [other for other in range(len(self.chips)) if other != place]
            chips, things = (tuple(of[at] for at in (place, *others)) for of in (self.chips, self.things))
            return replace(self, chips=chips, things=things, suggest=False)
        alone = slice(place, place + 1)
        return replace(self, chips=self.chips[alone], things=self.things[alone], suggest=False)

    def by(self, method: Method) -> Question:
        """The same asked of another method, with that method's defaults."""
        return self if method.name == self.method.name else replace(self, method=method, knobs=())

    def suggested(self) -> Question:
        """The question about the class that the model sees, where that is asked for and the picture is encoded."""
        if not self.suggest or self.chips or not self.photo.predictions:
            return self
        first = self.photo.predictions[0]
        return replace(self, chips=(ClassChip(first.index, first.name),), things=(first.index,), suggest=False)
