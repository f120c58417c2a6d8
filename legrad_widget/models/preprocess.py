"""From anything that is an image to the tensor a model reads, and the window of the picture that it shows."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

MAX_PIXELS = 64_000_000
MIN_SIDE = 4
LARGEST = 20.0  # of a normalised value: even a std of 0.05 stays within it
_MILLIONS, _SMALLER = MAX_PIXELS // 1_000_000, "Make it smaller first"
Fit = Literal["squash", "crop", "pad"]
Window = tuple[float, float, float, float]
_RESAMPLING = {method.name.lower(): method for method in Image.Resampling}
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class ImageError(ValueError):
    """The image cannot be read; the message says what was expected, what arrived and what to do."""


def picture(image: Any) -> Image.Image:
    """An upright RGB picture from a path, bytes, PIL image, ndarray, or an object with such an ``.image``.

    Arrays are [H, W, 3], [H, W, 4], [H, W, 1] or [H, W], uint8 or float in [0, 1]. EXIF rotation is applied; of an
    animation the first frame is taken; transparency is laid on white; 16-bit grey is scaled to 8 bits.

    Raises:
        ImageError: not an image, truncated, empty, too small, or more than 64 million pixels.
        TypeError: a type that is none of these.
    """
    if not isinstance(image, Image.Image) and isinstance(getattr(image, "image", None), Image.Image):
        image = image.image
    if isinstance(image, str | os.PathLike | bytes | bytearray | memoryview):
        image = _opened(image)
    if isinstance(image, np.ndarray):
        image = _from_array(image)
    if not isinstance(image, Image.Image):
        raise TypeError(
            "an image is a path, bytes, a PIL image, an array [H, W, 3] or [H, W], or a preprocessed tensor [3, H, W]; "
            f"this is {type(image).__name__}"
        )
    _check_size(*image.size)
    try:
        return _to_rgb(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"the image is damaged or cut off ({error}); save it again or use another file") from error


def _opened(source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> Image.Image:
    if isinstance(source, bytes | bytearray | memoryview):
        if len(source) == 0:
            raise ImageError("the image has 0 bytes; choose a PNG, JPEG, WebP, GIF, BMP or TIFF file")
        name, stream = "this file", io.BytesIO(bytes(source))
    else:
        path = Path(source)
        if "://" in str(source) or str(source).startswith("data:"):
            raise ImageError("images are not fetched from the network; download the file and pass its path")
        if not _is_file(path):
            raise ImageError(
                f"there is no image file {str(source)!r}; check the path (working folder: {Path.cwd().name})"
            )
        name, stream = path.name, io.BytesIO(_content(path))
        if not stream.getbuffer().nbytes:
            raise ImageError(f"{name} is empty (0 bytes); choose another file")
    try:
        opened = Image.open(stream, formats=_formats())
        _check_size(*opened.size)  # from the header, before any decoding
        opened.seek(0)
        opened.load()
        return opened
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        found = re.search(r"\d{6,}", str(error))  # Pillow says how many, not how wide and high
        count = f"{int(found[0]) // 1_000_000} million" if found else "far more"
        raise ImageError(f"the image has {count} pixels; at most {_MILLIONS} million are read. {_SMALLER}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image that can be read; use PNG, JPEG, WebP, GIF, BMP or TIFF") from error
    except ImageError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"{name} is damaged or cut off ({error}); save it again or use another file") from error


@cache
def _formats() -> tuple[str, ...]:
    """What Pillow decodes by itself; EPS and the like would start other programs on bytes from outside."""
    Image.init()
    wanted = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "AVIF", "JPEG2000")
    return tuple(name for name in wanted if name in Image.OPEN)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the system is no file
        return False


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read ({error.strerror}); check its permissions") from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(f"the image has {width} x {height} pixels; at most {_MILLIONS} million are read. {_SMALLER}")
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"the image has {width} x {height} pixels; at least {MIN_SIDE} x {MIN_SIDE} are needed to show anything"
        )


def _from_array(array: np.ndarray) -> Image.Image:
    shape = array.shape
    if array.ndim == 3 and shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        hint = "; move the channels last: array.transpose(1, 2, 0)" if array.ndim == 3 and shape[0] in (1, 3, 4) else ""
        raise ImageError(f"an image array is [H, W, 3] or [H, W]; this one has shape {list(shape)}{hint}")
    if array.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array))
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(f"an image array is uint8, or float in [0, 1]; this one is {array.dtype}. Convert it first")
    if not np.isfinite(array).all():
        raise ImageError("the image array holds NaN or inf; replace them first")
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if low < 0 or high > 1:
        hint = (
            "divide by 255"
            if high > 2
            else "undo the normalisation, or pass a torch tensor [3, H, W] to use it as it is"
        )
        raise ImageError(f"a float image array lies in [0, 1]; this one spans [{low:.3g}, {high:.3g}]: {hint}")
    return Image.fromarray((array * 255).round().astype(np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        return _to_rgb(_from_array(np.asarray(image)))
    if image.mode.startswith("I"):  # 16 bits a pixel, or 32 that hold 8 or 16
        values = np.asarray(image, dtype=np.int64)
        top = 255 if image.mode == "I" and values.max(initial=0) <= 255 else 65535
        if values.min(initial=0) < 0 or values.max(initial=0) > top:
            raise ImageError("a grey image of whole numbers holds 0 to 65535; this one goes beyond. Convert it first")
        image = Image.fromarray((values * 255 / top).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


@dataclass(frozen=True, slots=True)
class View:
    """A picture as the model sees it: the input [3, Hin, Win] float32, the picture, and the window in its pixels."""

    tensor: Tensor
    picture: Image.Image
    window: Window


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Mean, standard deviation and resampling of a model's input; values of the picture are in [0, 1] before."""

    mean: tuple[float, float, float] = _CLIP_MEAN
    std: tuple[float, float, float] = _CLIP_STD
    interpolation: str = "bicubic"

    def view(self, image: Any, size: tuple[int, int], fit: Fit) -> View:
        """``image`` fitted to ``size`` (height, width): squashed, centre-cropped, or letterboxed on the mean colour."""
        shown = picture(image)
        width, height = shown.size
        window = self.window(width, height, size, fit)
        resampling = _RESAMPLING[self.interpolation]
        if fit == "pad":
            scaled_size, corner = _letterbox(width, height, size)
            fill = (round(255 * self.mean[0]), round(255 * self.mean[1]), round(255 * self.mean[2]))
            seen = Image.new("RGB", (size[1], size[0]), fill)
            seen.paste(shown.resize(scaled_size, resampling), corner)
        else:
            seen = shown.resize((size[1], size[0]), resampling, box=window)
        values = torch.from_numpy(np.array(seen, dtype=np.float32)) / 255
        mean, std = self._channels
        return View(((values - mean) / std).permute(2, 0, 1), shown, window)

    @property
    def _channels(self) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(v, dtype=torch.float32, device="cpu") for v in (self.mean, self.std))
        return mean, std

    @staticmethod
    def window(width: int, height: int, size: tuple[int, int], fit: Fit) -> Window:
        """(left, top, right, bottom) of what the model sees, in pixels of a ``width`` x ``height`` picture."""
        if fit == "squash":
            return (0.0, 0.0, float(width), float(height))
        rows, columns = size
        if fit == "pad":
            (scaled_width, scaled_height), (x, y) = _letterbox(width, height, size)
            across, down = width / scaled_width, height / scaled_height
            return (-x * across, -y * down, (columns - x) * across, (rows - y) * down)
        scale = min(width / columns, height / rows)
        left, top = (width - columns * scale) / 2, (height - rows * scale) / 2
        return (left, top, left + columns * scale, top + rows * scale)

    def tensor_view(self, tensor: Tensor) -> View:
        """A preprocessed tensor [3, H, W] or [1, 3, H, W], taken as it is; shown by undoing the normalisation.

        Raises:
            ImageError: another shape, or values that are not finite.
        """
        if not tensor.is_floating_point():
            raise ImageError(
                f"a tensor is taken as preprocessed: normalised floats; this one is {tensor.dtype}. "
                "For a picture pass tensor.permute(1, 2, 0).numpy()"
            )
        image = tensor.detach()
        image = image[0] if image.ndim == 4 and len(image) == 1 else image
        if image.ndim != 3 or image.shape[0] != 3:
            raise ImageError(
                f"a preprocessed tensor is [3, H, W] or [1, 3, H, W]; this one has shape {list(tensor.shape)}. "
                "Encode the images of a batch one by one"
            )
        image = image.to("cpu", torch.float32, copy=True)
        if not torch.isfinite(image).all():
            raise ImageError("the preprocessed tensor holds NaN or inf")
        if image.abs().max() > LARGEST:
            raise ImageError(
                f"a tensor is taken as preprocessed: normalised floats of a few units; this one reaches "
                f"{float(image.abs().max()):.3g}. Normalise it, or pass the picture itself"
            )
        mean, std = self._channels
        shown = image.permute(1, 2, 0) * std + mean
        rows, columns = image.shape[1:]
        whole = Image.fromarray((shown.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
        return View(image, whole, (0.0, 0.0, float(columns), float(rows)))


def _letterbox(width: int, height: int, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size of the scaled picture and its upper left corner inside ``size`` (height, width), both in model pixels."""
    scale = min(size[1] / width, size[0] / height)
    scaled = max(1, round(width * scale)), max(1, round(height * scale))
    return scaled, ((size[1] - scaled[0]) // 2, (size[0] - scaled[1]) // 2)


class PreprocessError(ValueError):
    """A preprocess that cannot be followed; the message says why."""


def as_preprocess(value: Any, default: Preprocess) -> Preprocess:
    """A Preprocess from None, a Preprocess, a dict with mean and std, or a torchvision transform with a Normalize.

    Of a transform only mean, std and interpolation are taken; the geometry is chosen by ``fit`` and ``size``.

    Raises:
        PreprocessError: a step or a number that cannot be followed. TypeError: nothing that tells mean and std.
    """
    if value is None:
        return default
    if isinstance(value, Preprocess):
        return value
    config = value if isinstance(value, dict) else _read_transform(value)
    if "mean" not in config or "std" not in config:
        raise TypeError(
            "preprocess is a dict(mean=(r, g, b), std=(r, g, b), interpolation='bicubic') or a torchvision transform "
            f"that ends in Normalize; this is {type(value).__name__}. (Or encode preprocessed tensors.)"
        )
    interpolation = config.get("interpolation", default.interpolation)
    if interpolation not in _RESAMPLING:
        raise PreprocessError(f"interpolation is one of {', '.join(_RESAMPLING)}; arrived: {interpolation!r}")
    return Preprocess(_three(config["mean"], "mean"), _three(config["std"], "std", above=0), interpolation)


def _three(values: Any, what: str, above: float = -np.inf) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(v) for v in values)
    except (TypeError, ValueError):
        raise PreprocessError(f"{what} has three numbers, one per channel; arrived: {values!r}") from None
    if not all(np.isfinite(v) and v > above for v in (red, green, blue)):
        raise PreprocessError(f"{what} has three finite numbers{' above 0' if above == 0 else ''}; arrived: {values!r}")
    return red, green, blue


# Steps whose effect `encode` has its own way for: geometry, and conversion to an RGB float tensor.
_STEPS = {"Resize", "CenterCrop", "ToTensor", "PILToTensor", "ToImage", "ToDtype", "ConvertImageDtype", "MaybeToTensor",
          "MaybePILToTensor", "ResizeKeepRatio", "CenterCropOrPad", "ResizeMaxSize", "ResizeLongest",
          "_convert_to_rgb", "Compose", "Normalize"}  # fmt: skip


def _read_transform(transform: Any) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for step in getattr(transform, "transforms", [transform]):
        name = step.__name__ if callable(step) and hasattr(step, "__name__") else type(step).__name__
        if hasattr(step, "mean") and hasattr(step, "std"):
            config["mean"], config["std"] = torch.as_tensor(step.mean).tolist(), torch.as_tensor(step.std).tolist()
        elif hasattr(transform, "transforms") and name not in _STEPS:
            raise PreprocessError(
                f"preprocess has a step {name} that changes the picture in a way of its own; encode the tensor that "
                "your transform makes: model.encode(transform(image))"
            )
        interpolation = getattr(getattr(step, "interpolation", None), "value", None)
        if interpolation in _RESAMPLING:
            config["interpolation"] = interpolation
    return config
