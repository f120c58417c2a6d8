"""``inspect``: the one call that most people make."""

from __future__ import annotations

from typing import Any

from .foreground import Progress
from .inspection import Inspection


def inspect(
    model: Any, images: Any, labels: Any = None, *, progress: Progress | bool = True, **options: Any
) -> Inspection:
    """A model's answers on labelled pictures, scored here and now.

    Args:
        model: from :func:`legrad_widget.load` or :func:`legrad_widget.wrap`: a classifier, or a CLIP, which is asked by
            the class names as prompts.
        images: a folder with one sub-folder per class; a list or column of anything ``encode`` reads; a torch Dataset.
        labels: numbers or names of classes, one per picture; None: taken from the folder or the Dataset.
        progress: True: a bar; False: none; or a function called with (done, total). Ctrl-C stops the scoring and gives
            what there is; ``run()`` goes on from there.
        **options: ``class_names`` (of a CLIP its prompts; of a classifier None for those that it knows);
            ``templates`` (sentences with one {} for the name, averaged); ``masks``, ``boxes`` (of the objects, see
            :func:`.mask_sources.masks_of`); ``logits`` [N, C] and ``embeddings`` [N, E] that are there
            already (nothing is run then, and there are no curves over layers); ``fit``, ``size`` (how the model
            sees a picture, as in ``encode``); ``batch`` (pictures in one forward); ``cache`` (True: results are kept
            in the user's cache folder, so that nothing is computed twice; at most $LEGRAD_WIDGET_CACHE_GB gigabytes, 4
            if it is not set, of which the oldest make room. A folder. Or False).

    Raises:
        InspectionError: it cannot be inspected; the sentence says why. TypeError: arguments in another order.
    """
    return Inspection(model, images, labels, **options).run(progress)
