"""Tiny models with random weights, one per variant that the views must cover. Real library classes, never stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

SIDE, PATCH, WIDTH, DEPTH, HEADS, EMBED, CLASSES = 48, 16, 32, 3, 4, 24, 7


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """Norms, biases and LayerScales away from their trivial initial values, so that leaving one out shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim <= 1 and "logit" not in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
            elif parameter.ndim >= 2:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.5 / parameter.shape[-1] ** 0.5))
    return model.eval()


def clip(quick_gelu: bool = False, logit_bias: float | None = None, **vision: Any) -> nn.Module:
    import open_clip

    torch.manual_seed(0)
    config = dict(image_size=SIDE, patch_size=PATCH, width=WIDTH, layers=DEPTH, head_width=WIDTH // HEADS) | vision
    text = dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=1)
    return shaken(
        open_clip.CLIP(
            embed_dim=EMBED, vision_cfg=config, text_cfg=text, quick_gelu=quick_gelu, init_logit_bias=logit_bias
        )
    )


def timm_vit(name: str = "vit_tiny_patch16_224", **options: Any) -> nn.Module:
    import timm

    torch.manual_seed(0)
    config = dict(img_size=SIDE, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, num_classes=CLASSES)
    return shaken(timm.create_model(name, **(config | options)))


def _naflex(name: str, **options: Any) -> nn.Module:
    return timm_vit(name, pretrained_cfg_overlay={"input_size": (3, SIDE, SIDE)}, **options)


def _with_pooler(model: Any, **options: Any) -> nn.Module:
    """``model`` with another attention pooler of timm's than its constructor can ask for."""
    from timm.layers import AttentionPoolLatent

    if "out_features" not in options:
        options["norm_layer"] = nn.LayerNorm
    model.attn_pool = AttentionPoolLatent(WIDTH, num_heads=2, **options)
    return shaken(model)


CLIPS: dict[str, Callable[[], nn.Module]] = {
    "clip": clip,
    "clip-quickgelu": lambda: clip(quick_gelu=True),
    "clip-avg-norm-before": lambda: clip(pool_type="avg"),
    "clip-avg-norm-after": lambda: clip(pool_type="avg", final_ln_after_pool=True),
    "clip-tok-norm-after": lambda: clip(final_ln_after_pool=True),
    "clip-layerscale": lambda: clip(ls_init_value=0.3),
    "clip-no-ln-pre": lambda: clip(no_ln_pre=True),
    "clip-patch-dropout": lambda: clip(patch_dropout=0.5),
    "clip-sigmoid": lambda: clip(logit_bias=-3.0),
    "clip-wide": lambda: clip(image_size=(32, 64)),
}
CLASSIFIERS: dict[str, Callable[[], nn.Module]] = {
    "timm": timm_vit,
    "timm-gap-norm-after": lambda: timm_vit(global_pool="avg"),
    "timm-gap-norm-before": lambda: timm_vit(global_pool="avg", fc_norm=False),
    "timm-gap-no-cls": lambda: timm_vit(global_pool="avg", class_token=False),
    "timm-gap-prefix": lambda: timm_vit(global_pool="avg", pool_include_prefix=True),
    "timm-token-fc-norm": lambda: timm_vit(fc_norm=True),
    "timm-registers": lambda: timm_vit(reg_tokens=4),
    "timm-registers-no-embed": lambda: timm_vit(reg_tokens=2, no_embed_class=True),
    "timm-layerscale-qknorm": lambda: timm_vit(init_values=0.3, qk_norm=True),
    "timm-pre-norm": lambda: timm_vit(pre_norm=True),
    "timm-no-qkv-bias": lambda: timm_vit(qkv_bias=False),
    "timm-dynamic-size": lambda: timm_vit(dynamic_img_size=True),
    "timm-wide": lambda: timm_vit(img_size=(32, 64)),
    "deit-distilled": lambda: timm_vit("deit_tiny_distilled_patch16_224"),
}
# timm models that pool by attention.
POOLED: dict[str, Callable[[], nn.Module]] = {
    "timm-map": lambda: timm_vit(global_pool="map", class_token=False),
    "timm-map-cls-registers": lambda: timm_vit(global_pool="map", reg_tokens=2, fc_norm=True),
    "timm-map-prefix": lambda: timm_vit(global_pool="map", pool_include_prefix=True),
    "timm-map-headless": lambda: timm_vit("vit_base_patch16_siglip_224", num_classes=0),
    "timm-map-qknorm": lambda: _with_pooler(timm_vit(global_pool="map"), qk_norm=True, latent_len=3),
    "timm-map-bare": lambda: _with_pooler(timm_vit(global_pool="map"), out_features=0, q_proj=False),
}


def timm_blocks(
    block: str = "Block", mlp: str = "Mlp", gated: bool = False, fused: bool = False, **options: Any
) -> Any:
    """timm's VisionTransformer with blocks and MLPs that its constructor takes as classes."""
    from functools import partial

    from timm.layers import Attention
    from timm.layers import mlp as mlps
    from timm.models import vision_transformer as blocks

    class GatedAttention(Attention):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, gated=True, **kwargs)

    block_fn = getattr(blocks, block)
    return timm_vit(
        block_fn=partial(block_fn, fuse_out_proj=True) if fused else block_fn,
        mlp_layer=getattr(mlps, mlp),
        attn_layer=GatedAttention if gated else Attention,
        **options,
    )


# timm's VisionTransformer with its other blocks.
BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "timm-post-norm": lambda: timm_blocks("ResPostBlock", init_values=0.3),
    "timm-parallel": lambda: timm_blocks("ParallelScalingBlock", init_values=0.3, qk_norm=True),
    "timm-parallel-own-bias": lambda: timm_blocks("ParallelScalingBlock", qkv_bias=False),
    "timm-parallel-fused": lambda: timm_blocks("ParallelScalingBlock", fused=True, qkv_bias=False),
    "timm-swiglu-packed": lambda: timm_blocks(mlp="SwiGLUPacked", reg_tokens=2, init_values=0.3),
    "timm-swiglu": lambda: timm_blocks(mlp="SwiGLU", scale_mlp_norm=True, norm_layer="rmsnorm", proj_bias=False),
    "timm-glu-gate-last": lambda: timm_blocks(mlp="GluMlp", scale_mlp_norm=True),
    "timm-inner-norms": lambda: timm_blocks(scale_attn_norm=True, scale_mlp_norm=True, qk_norm=True),
    "timm-gated-attention": lambda: timm_blocks(gated=True, scale_attn_norm=True, norm_layer="rmsnorm"),
    "timm-no-positions": lambda: timm_vit(pos_embed="none"),
    "timm-dynamic-pad": lambda: timm_vit(dynamic_img_size=True, dynamic_img_pad=True),
    "deit3": lambda: timm_vit("deit3_small_patch16_224"),
    "dinov2": lambda: timm_vit("vit_small_patch14_reg4_dinov2", patch_size=16, num_classes=0),
    "dinov2-giant": lambda: timm_vit("vit_giant_patch14_reg4_dinov2", patch_size=16, num_classes=0),
    "aimv2": lambda: timm_vit("aimv2_large_patch14_224", patch_size=16),
}
# timm's Eva: rotary positions as an argument of every block.
EVA: dict[str, Callable[[], nn.Module]] = {
    "eva": lambda: timm_vit("eva_giant_patch14_224", patch_size=16),
    "eva02": lambda: timm_vit("eva02_base_patch14_224", patch_size=16),
    "eva02-dynamic": lambda: timm_vit("eva02_base_patch14_224", patch_size=16, dynamic_img_size=True),
    "eva02-swiglu-packed": lambda: timm_vit("eva02_tiny_patch14_224", patch_size=16, num_heads=2),
    "eva02-clip": lambda: timm_vit("eva02_base_patch16_clip_224", global_pool="token"),
    "eva-post-norm": lambda: timm_vit("eva02_tiny_patch14_224", patch_size=16, use_post_norm=True, init_values=None),
    "dinov3": lambda: timm_vit("vit_small_patch16_dinov3", num_classes=0),
    "dinov3-gap": lambda: timm_vit("vit_base_patch16_dinov3", global_pool="avg"),
    "perception": lambda: timm_vit("vit_pe_core_base_patch16_224"),
    "perception-spatial": lambda: timm_vit("vit_pe_spatial_base_patch16_512", dynamic_img_size=True, global_pool="avg"),
    "rope-mixed": lambda: timm_vit("vit_small_patch16_rope_mixed_224"),
    "rope-sections": lambda: timm_vit(
        "vit_small_patch16_dinov3", rope_type="mrope", dynamic_img_size=False, num_heads=1, rope_mrope_section=(4, 6, 6)
    ),
    "rope-axial-absolute": lambda: timm_vit("vit_small_patch16_rope_ape_224"),
    "eva-grouped": lambda: timm_vit(
        "vit_small_patch16_dinov3", attn_type="rope", num_kv_heads=2, qkv_fused=False, qk_norm=True
    ),
    "eva-rope-fused-inner": lambda: timm_vit(
        "vit_small_patch16_dinov3", attn_type="rope", qkv_fused=True, scale_attn_inner=True, rope_rotate_half=False
    ),
}
NAFLEX: dict[str, Callable[[], nn.Module]] = {
    "naflex-gap": lambda: _naflex("naflexvit_base_patch16_gap"),
    "naflex-map-factorized": lambda: _naflex("naflexvit_base_patch16_map", pos_embed="factorized", class_token=True),
    "naflex-rotary": lambda: _naflex("naflexvit_base_patch16_gap", rope_type="axial", attn_type="rope"),
    "naflex-linear-patches": lambda: _naflex("naflexvit_base_patch16_siglip", embed_proj_type="linear"),
}
# Relative positions as a bias of the attention.
BIASED: dict[str, Callable[[], nn.Module]] = {
    "beit": lambda: timm_vit("beit_base_patch16_224", init_values=0.3),
    "beit-shared": lambda: timm_vit("beit_base_patch16_224", use_rel_pos_bias=False, use_shared_rel_pos_bias=True),
    "beit-both-token": lambda: timm_vit("beitv2_base_patch16_224", use_shared_rel_pos_bias=True, global_pool="token"),
    "beit-absolute": lambda: timm_vit("beit_base_patch16_224", use_rel_pos_bias=False, use_abs_pos_emb=True),
    "relpos-bias": lambda: timm_vit("vit_relpos_base_patch16_224"),
    "relpos-cls-mlp": lambda: timm_vit("vit_relpos_base_patch16_clsgap_224"),
    "relpos-shared": lambda: timm_vit("vit_srelpos_small_patch16_224"),
    "relpos-post-norm": lambda: timm_vit("vit_relpos_medium_patch16_rpn_224"),
}
ALL = CLIPS | CLASSIFIERS
EVERY = ALL | POOLED | BLOCKS | EVA | BIASED | NAFLEX


def picture(height: int = 60, width: int = 80, seed: int = 0) -> np.ndarray:
    """A coloured picture [H, W, 3] uint8 that is not square."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
    return noise.repeat(10, 0).repeat(10, 1)


def directions(features: int, count: int = 3) -> list[np.ndarray]:
    return list(np.random.default_rng(1).standard_normal((count, features)).astype(np.float32))


def coca(**vision: Any) -> nn.Module:
    """open_clip's CoCa: the image vector is its attention pooler's first query; the class token is one of the keys."""
    import open_clip

    torch.manual_seed(0)
    pooler = dict(attentional_pool=True, attn_pooler_heads=3, attn_pooler_queries=5, output_tokens=True)
    config = dict(image_size=SIDE, patch_size=PATCH, width=WIDTH, layers=DEPTH, head_width=WIDTH // HEADS)
    text = dict(context_length=76, vocab_size=49408, width=32, heads=2, layers=1, embed_cls=True, output_tokens=True)
    decoder = dict(context_length=76, vocab_size=49408, width=32, heads=2, layers=1)
    embed = EMBED if vision.get("attentional_pool") != "parallel" else WIDTH  # its norm has one width for both sides
    if embed == WIDTH:
        pooler["attn_pooler_heads"] = 2
    return shaken(
        open_clip.CoCa(embed_dim=embed, vision_cfg=config | pooler | vision, text_cfg=text, multimodal_cfg=decoder)
    )


COCA: dict[str, Callable[[], nn.Module]] = {
    "coca": coca,
    "coca-parallel": lambda: coca(attentional_pool="parallel"),
    "coca-same-width": lambda: coca(width=EMBED, head_width=EMBED // HEADS),
    "coca-wide": lambda: coca(image_size=(32, 64)),
}


# open_clip's custom block: its own attention class, with norms and scales in places where the default has none.
CUSTOM: dict[str, Callable[[], nn.Module]] = {
    "clip-custom-qknorm": lambda: clip(qk_norm=True),
    "clip-custom-norms": lambda: clip(scale_heads=True, scale_attn_inner=True, scale_attn=True, scale_fc=True),
    "clip-custom-all": lambda: clip(
        qk_norm=True, scale_heads=True, scale_attn_inner=True, scale_attn=True, scale_fc=True, ls_init_value=0.3
    ),
}


def timm_tower(trunk: nn.Module, *, kind: str = "CustomTextCLIP", proj: str = "none", bias: bool = False) -> nn.Module:
    """An open_clip model over a timm ``trunk``, with SigLIP's kind of text tower and a sigmoid's logit bias.

    open_clip can only name a whole timm architecture, so a small one is named and its trunk is exchanged.
    """
    import open_clip
    from open_clip.timm_model import TimmModel

    torch.manual_seed(0)
    vision = dict(timm_model_name="test_vit", timm_pool="token", timm_proj="none", image_size=SIDE)
    text = dict(context_length=16, vocab_size=49408, width=32, heads=2, layers=1, no_causal_mask=True, proj_bias=True)
    width = trunk(torch.zeros(1, 3, *trunk.patch_embed.img_size)).shape[-1]
    embed = EMBED if proj != "none" else width
    siglip = {"pool_type": "last"} if kind == "CustomTextCLIP" else {}
    model = getattr(open_clip, kind)(
        embed_dim=embed, vision_cfg=vision, text_cfg=text | siglip, init_logit_bias=-3.0
    )  # fmt: skip
    small = TimmModel("test_vit", embed, pool="token", proj=proj, proj_bias=bias)
    small.trunk = trunk
    if proj == "linear":
        small.head.proj = nn.Linear(width, embed, bias=bias)
    elif proj == "mlp":
        small.head.mlp = type(small.head.mlp)(width, 2 * embed, embed, bias=(True, bias))
    model.visual = small
    return shaken(model)


TOWERS: dict[str, Callable[[], nn.Module]] = {
    "siglip": lambda: timm_tower(timm_vit("vit_base_patch16_siglip_224", num_classes=0, global_pool="map")),
    "siglip-linear": lambda: timm_tower(
        timm_vit("vit_base_patch16_siglip_224", num_classes=0, global_pool="map"), proj="linear", bias=True
    ),
    "timm-tower-head": lambda: timm_tower(timm_vit(num_classes=EMBED), kind="CLIP"),
    "timm-tower-mlp": lambda: timm_tower(timm_vit(num_classes=0, global_pool="avg"), proj="mlp"),
    "timm-tower-head-linear": lambda: timm_tower(timm_vit(num_classes=9, global_pool="avg"), proj="linear"),
}
