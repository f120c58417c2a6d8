"""open_clip: ``CLIP`` and ``CoCa`` with the native ``VisionTransformer``: class token, average or attention pooling."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ._open_clip_parts import read_block, read_pooler
from .live import Affine, apply, call_with
from .position import resampled
from .preprocess import Preprocess
from .readout import Readout
from .view import UnsupportedModel, ViT


def matches(module: nn.Module) -> bool:
    """Whether this is an open_clip CLIP or CoCa, or its bare native vision tower."""
    tower = getattr(module, "visual", module)
    return all(hasattr(tower, name) for name in ("conv1", "class_embedding", "transformer", "ln_post", "proj"))


def build(module: Any, name: str | None = None) -> ViT:
    """The view of an ``open_clip.CLIP``, ``CoCa`` or ``open_clip.transformer.VisionTransformer``.

    Raises:
        UnsupportedModel: a pooling that does not end in one vector of one query, or a block of another shape.
    """
    tower = getattr(module, "visual", module)
    if tower.conv1.in_channels != 3:
        raise UnsupportedModel(f"this open_clip tower reads {tower.conv1.in_channels} channels; RGB is supported")
    outer = "visual.transformer" if hasattr(module, "visual") else "transformer"
    return ViT(
        name=name or f"open_clip {type(module).__name__}",
        module=module,
        blocks=tuple(read_block(b, f"{outer}.resblocks.{i}") for i, b in enumerate(tower.transformer.resblocks)),
        readout=_readout(tower) if tower.attn_pool is None else _attention_readout(tower),
        prefix=1,
        has_cls=True,
        grid=(int(tower.grid_size[0]), int(tower.grid_size[1])),
        patch=(int(tower.patch_size[0]), int(tower.patch_size[1])),
        features=tower.ln_post.normalized_shape[0] if tower.proj is None else tower.proj.shape[1],
        native=lambda images, grid: _native(tower, images, grid),
        batch_first=getattr(tower.transformer, "batch_first", True),
    )


def preprocess(module: Any) -> Preprocess:
    """Mean, std and resampling from the model's own configuration; open_clip's defaults where it has none."""
    config = getattr(getattr(module, "visual", module), "preprocess_cfg", None) or {}
    default = Preprocess()
    mean, std = config.get("mean") or default.mean, config.get("std") or default.std
    return Preprocess(tuple(mean), tuple(std), config.get("interpolation") or default.interpolation)


def _projection(tower: Any) -> Affine | None:
    return None if tower.proj is None else Affine(tower, "proj", "", transposed=True)


def _readout(tower: Any) -> Readout:
    """Class token or mean of the patches, with the norm before or after."""
    if tower.pool_type not in ("tok", "avg"):
        raise UnsupportedModel(
            f"this open_clip tower pools with {tower.pool_type!r}, which gives no single image vector; 'tok', 'avg' "
            "and attention pooling are supported"
        )
    norm, post_norm = nn.Identity(), tower.ln_post
    if not tower.final_ln_after_pool:
        norm, post_norm = post_norm, norm
    by_token = tower.pool_type == "tok"
    rows = slice(0, 1) if by_token else slice(1, None)
    return Readout("cls" if by_token else "mean", rows, norm, post_norm, _projection(tower))


def _attention_readout(tower: Any) -> Readout:
    """CoCa's pooler: only its first query becomes the image vector; the class token is one of its keys.

    The released models take ``ln_post`` after the pooler; "parallel" takes it before, with a pooler of its own.
    """
    everything = slice(0, None)
    contrastive = getattr(tower, "attn_pool_contrastive", None)
    if contrastive is None:
        if tower.pool_type != "tok":
            raise UnsupportedModel(
                f"this CoCa tower pools the outputs of its attention pooler with {tower.pool_type!r}, so its image "
                "vector mixes many queries; pool_type='tok', which reads the first query, is supported"
            )
        pooler = read_pooler(tower.attn_pool, "visual.attn_pool")
        return Readout("attention", everything, tower.attn_pool.ln_k, tower.ln_post, _projection(tower), pooler)
    if tower.attn_pool_type != "parallel":
        raise UnsupportedModel(
            f"this CoCa tower has two attention poolers in a row ({tower.attn_pool_type!r}): its image vector reads "
            "the outputs of the first one, not the tokens, so there is no attention over patches to explain; "
            "'parallel' poolers and a single pooler are supported"
        )
    pooler = read_pooler(contrastive, "visual.attn_pool_contrastive")
    norm = _Then(tower.ln_post, contrastive.ln_k)
    return Readout("attention", everything, norm, nn.Identity(), _projection(tower), pooler)


class _Then(nn.Module):
    """One norm after another."""

    def __init__(self, *norms: nn.Module):
        super().__init__()
        self.norms = norms  # a tuple: not registered, so never moved or converted

    def forward(self, x: Tensor) -> Tensor:
        for norm in self.norms:
            x = apply(norm, x)
        return x


def _native(tower: Any, images: Tensor, grid: tuple[int, int]) -> Tensor:
    own = (int(tower.grid_size[0]), int(tower.grid_size[1]))
    if grid == own:
        output = tower(images)
    else:
        position = resampled(tower.positional_embedding.detach(), own, grid, prefix=1)
        output = call_with(tower, {"positional_embedding": position}, images)
    pooled: Tensor = output[0] if isinstance(output, tuple) else output
    return pooled[:, 0] if pooled.ndim == 3 else pooled  # "parallel": the one query keeps an axis of its own
