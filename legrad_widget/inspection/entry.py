"""``inspect``: the one call that most people make."""

from __future__ import annotations

from typing import Any

from .foreground import Progress
from .inspection import Inspection
from .options import check_options


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
        **options: by name, each of them:
            ``class_names``: a list of C strings in the order of the classes. Of a classifier None: the names it knows.
            Of a CLIP its prompts; needed unless it has some.
            ``templates``: of a CLIP, sentences with one ``{}`` each for the name ("a photo of a {}."), averaged; ().
            ``masks``: of the objects, one per picture or None where there is none: a list of N, a dict {sample number:
            mask}, an array [N, H, W], or a function of the sample's number. A mask is a bool or number array [H, W], a
            picture, or the path of one; what is not 0 is the object. It has the pixels of its own (upright) picture,
            not those of the model's input.
            ``boxes``: the same with (left, top, right, bottom) in pixels of the picture, the right and lower edge not
            included, or several [n, 4]; taken where there is no mask.
            ``logits``: [N, C] that are there already: nothing is run then, and there are no curves over layers.
            ``embeddings``: [N, E] beside them, for neighbours and groups.
            ``fit``: how a picture of another shape is shown to the model: "squash" (all of it, its aspect lost; the
            default), "crop" (the centre) or "pad" (all of it, with a border). Take the one that the model was trained
            and tested with: other numbers follow from another.
            ``size``: of the model's input in pixels, one side or (height, width), multiples of the patch size; None:
            the model's own.
            ``batch``: how many pictures go through the model at a time; None: as many as take about a second.
            ``cache``: True (the default): answers, maps and flip sets are kept on disk in the user's cache folder
            ($LEGRAD_WIDGET_CACHE names another), under a digest of model, picture and label, so that nothing is
            computed twice, in other sessions either; at most $LEGRAD_WIDGET_CACHE_GB gigabytes (4), of which the oldest
            make room. A path: that folder. False: nothing is kept.

    Warns (InspectionWarning) where some labels fit no class: these samples are skipped.

    Raises:
        InspectionError: it cannot be inspected, or not one label fits a class; the sentence says why.
        TypeError: arguments in another order, or an option that is none.
    """
    check_options(options, Inspection, "progress")
    return Inspection(model, images, labels, **options).run(progress)
