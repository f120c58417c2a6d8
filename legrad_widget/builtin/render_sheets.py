"""Draw the sprite sheets under `assets/` again from the pinned npm packages.

Needs `resvg_py` and a folder with the packages of `SOURCES` installed (`npm install <package>@<version> ...`)::

    python -m legrad_widget.builtin.render_sheets path/to/node_modules

Nothing at run time or in training needs this: the sheets are committed, so that the pixels stay the same
when a renderer or an icon package changes.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .nouns import NOUNS

ASSETS = Path(__file__).parent / "assets"
COLUMNS = 16


@dataclass(frozen=True)
class Source:
    """One picture source: where it comes from, under which licence, and what it may be used for."""

    name: str
    package: str
    version: str
    licence: str
    author: str
    use: str  # "train", "validation" or "test"
    tile: int = 64
    monochrome: bool = False


SOURCES: tuple[Source, ...] = (
    Source("noto", "@iconify-json/noto", "1.2.9", "Apache-2.0", "Google (Noto Emoji)", "train", tile=128),
    Source("noto-v1", "@iconify-json/noto-v1", "1.2.5", "Apache-2.0", "Google (Noto Emoji, 2013-2017)", "train"),
    Source("fluent-flat", "@iconify-json/fluent-emoji-flat", "1.2.6", "MIT", "Microsoft (Fluent Emoji)", "train"),
    Source("fluent-colour", "@iconify-json/fluent-emoji", "1.2.7", "MIT", "Microsoft (Fluent Emoji)", "train"),
    Source("fluent-3d", "@lobehub/fluent-emoji-3d", "1.1.0", "MIT", "Microsoft (Fluent Emoji)", "train"),
    Source("fluent-line", "@iconify-json/fluent-emoji-high-contrast", "1.2.6", "MIT", "Microsoft (Fluent Emoji)",
           "train", monochrome=True),
    Source("emojione", "@iconify-json/emojione", "1.2.3", "CC-BY-4.0", "EmojiOne 2 / EmojiTwo", "train"),
    Source("emojione-line", "@iconify-json/emojione-monotone", "1.2.1", "CC-BY-4.0", "EmojiOne 2 / EmojiTwo", "train",
           monochrome=True),
    Source("fxemoji", "@iconify-json/fxemoji", "1.2.2", "CC-BY-4.0", "Mozilla (FxEmojis)", "train"),
    Source("streamline", "@iconify-json/streamline-emojis", "1.2.4", "CC-BY-4.0", "Streamline (Webalys)", "validation"),
    Source("twemoji", "@iconify-json/twemoji", "1.2.5", "CC-BY-4.0", "Twitter and contributors (Twemoji)", "test"),
)  # fmt: skip

# Icons by their CLDR-like names, which most sources share.
ICONS: dict[str, str] = {
    "cat": "cat cat-face", "dog": "dog dog-face poodle", "wolf": "wolf wolf-face", "fox": "fox fox-face",
    "lion": "lion lion-face", "tiger": "tiger tiger-face", "horse": "horse horse-face", "cow": "cow cow-face ox",
    "pig": "pig pig-face boar", "sheep": "ewe ram", "camel": "camel two-hump-camel", "mouse": "mouse mouse-face rat",
    "rabbit": "rabbit rabbit-face", "bear": "bear bear-face", "panda": "panda panda-face",
    "monkey": "monkey monkey-face",
    "chicken": "chicken rooster", "frog": "frog frog-face", "whale": "whale spouting-whale",
    "fish": "fish tropical-fish blowfish", "bee": "honeybee", "ladybug": "lady-beetle",
    "tree": "deciduous-tree evergreen-tree", "palm": "palm-tree", "leaf": "maple-leaf fallen-leaf",
    "clover": "four-leaf-clover", "apple": "red-apple green-apple", "orange": "tangerine", "corn": "ear-of-corn",
    "cheese": "cheese-wedge", "fries": "french-fries", "egg": "cooking", "cake": "shortcake birthday-cake",
    "ice cream": "ice-cream soft-ice-cream", "coffee": "hot-beverage", "beer": "beer-mug", "wine": "wine-glass",
    "car": "automobile oncoming-automobile", "taxi": "taxi oncoming-taxi", "bus": "bus oncoming-bus",
    "truck": "delivery-truck articulated-lorry", "train": "locomotive", "boat": "sailboat", "football": "soccer-ball",
    "piano": "musical-keyboard", "camera": "camera camera-with-flash", "phone": "mobile-phone",
    "computer": "laptop laptop-computer", "clock": "alarm-clock", "book": "open-book green-book closed-book",
    "key": "key old-key", "lock": "locked", "umbrella": "umbrella umbrella-with-rain-drops umbrella-on-ground",
    "hat": "top-hat womans-hat", "shoe": "running-shoe mans-shoe", "shirt": "t-shirt", "gift": "wrapped-gift",
    "lamp": "light-bulb", "moon": "crescent-moon", "sun": "sun-with-face sun",
    "snowman": "snowman snowman-without-snow",
    "heart": "red-heart", "hourglass": "hourglass-not-done hourglass-done hourglass",
}  # fmt: skip

# More looks of the same thing, drawn for training sources only, so that the held-out sets stay as they are.
TRAINING_ICONS: dict[str, str] = {
    "dog": "guide-dog service-dog", "bear": "polar-bear", "cow": "water-buffalo", "tree": "christmas-tree",
    "clover": "shamrock", "bread": "baguette-bread", "mushroom": "brown-mushroom", "lemon": "lime",
    "car": "sport-utility-vehicle", "train": "bullet-train high-speed-train", "airplane": "small-airplane",
    "boat": "speedboat", "ship": "passenger-ship", "book": "blue-book orange-book", "computer": "desktop-computer",
    "hat": "billed-cap", "shoe": "hiking-boot high-heeled-shoe", "glasses": "sunglasses", "star": "glowing-star",
    "moon": "last-quarter-moon-face first-quarter-moon-face", "house": "house-with-garden",
    "heart": "orange-heart yellow-heart green-heart blue-heart purple-heart",
    "beer": "clinking-beer-mugs", "lock": "locked-with-key",
}  # fmt: skip

# Names that only one source uses.
OTHER_ICONS: dict[str, dict[str, str]] = {
    "fxemoji": {
        "wolf": "wolfface", "camel": "bactriancamel dromedarycamel", "panda": "pandaface", "tree": "deciduoustree",
        "palm": "palmtree", "leaf": "mapleleaf fallingleaf", "clover": "fourleafclover", "apple": "greenapple redapple",
        "pizza": "sliceofpizza", "fries": "frenchfries", "ice cream": "icecream softicecream", "beer": "beermug",
        "wine": "wineglass", "truck": "deliverytruck", "train": "steamlocomotive", "phone": "cellphone",
        "computer": "personalcomputer", "clock": "alarmclock", "book": "bluebook greenbook closedbook",
        "scissors": "blackscissors", "hat": "tophat womanshat", "shoe": "mensshoe", "shirt": "mansshirt",
        "house": "housebuilding", "castle": "europeancastle", "moon": "crescentmoon", "snowman": "snowmanwithoutsnow",
    },
    "streamline": {
        "heart": "heart-suit", "sheep": "ewe-1 ewe-2", "pig": "boar-1 boar-2", "penguin": "penguin-1 penguin-2",
        "cactus": "cactus-1 cactus-2", "sunflower": "sunflower-1 sunflower-2",
        "strawberry": "strawberry-1 strawberry-2",
        "watermelon": "watermelon-1 watermelon-2", "pizza": "pizza-1 pizza-2",
        "hamburger": "hamburger-1 hamburger-2 hamburger-3", "cake": "birthday-cake-1 birthday-cake-2 shortcake-1",
        "ice cream": "soft-ice-cream-1 soft-ice-cream-2", "doughnut": "doughnut-1 doughnut-2",
        "coffee": "hot-beverage-1 hot-beverage-2", "wine": "red-wine-glass white-wine-glass",
        "fox": "fox-face-1 fox-face-2",
        "lock": "locked-with-key", "umbrella": "closed-umbrella", "backpack": "school-backpack",
        "glasses": "glasses-1 glasses-2", "ring": "ring-1 ring-2", "gift": "wrapped-gift-1 wrapped-gift-2",
        "house": "house-with-garden", "tent": "tent", "cloud": "cloud-1 cloud-2",
        "hourglass": "hourglass-not-done-1 hourglass-not-done-2", "shrimp": "fried-shrimp", "tree": "christmas-tree",
    },
}  # fmt: skip


def icon_names(source: Source, noun: str) -> list[str]:
    """Return the icon names to try for a noun in a source, in order."""
    wanted = ICONS.get(noun, noun.replace(" ", "-")).split()
    if source.use == "train":
        wanted += TRAINING_ICONS.get(noun, "").split()
    if source.name == "fxemoji":
        wanted += [name.replace("-", "") for name in wanted if "-" in name]
    return wanted + OTHER_ICONS.get(source.name, {}).get(noun, "").split()


def iconify_svg(icons: dict[str, Any], name: str, colour: str) -> str | None:
    """Return one icon of an Iconify set as a stand-alone SVG, or None when the set has no such icon."""
    icon = icons["icons"].get(name)
    if icon is None and name in icons.get("aliases", {}):
        alias = icons["aliases"][name]
        parent = icons["icons"].get(alias["parent"])
        icon = parent and {**parent, **{key: value for key, value in alias.items() if key != "parent"}}
    if icon is None:
        return None
    width, height = (icon.get(key, icons.get(key, 16)) for key in ("width", "height"))
    left, top = icon.get("left", 0), icon.get("top", 0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}">'
        f"{icon['body'].replace('currentColor', colour)}</svg>"
    )


def fitted(picture: Image.Image, tile: int) -> Image.Image | None:
    """Crop a picture to what is visible and centre it in a square tile; None when nothing is visible."""
    alpha = np.asarray(picture)[..., 3]
    ys, xs = np.where(alpha > 8)
    if len(ys) < 50:
        return None
    picture = picture.crop((int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1))
    scale = tile / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    out = Image.new("RGBA", (tile, tile))
    out.paste(picture, ((tile - picture.width) // 2, (tile - picture.height) // 2))
    return out


def vector_pictures(source: Source, folder: Path) -> Iterator[tuple[str, str, Image.Image]]:
    """Yield (noun, icon, picture) of an Iconify source."""
    import resvg_py

    icons = json.loads((folder / "icons.json").read_text())
    for noun in NOUNS:
        seen: set[str] = set()
        for name in icon_names(source, noun):
            svg = iconify_svg(icons, name, "#000000")
            if svg is None or svg in seen:
                continue
            seen.add(svg)
            png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=2 * source.tile, height=2 * source.tile))
            yield noun, name, Image.open(io.BytesIO(png)).convert("RGBA")


def bitmap_pictures(source: Source, folder: Path, codepoints: dict[str, str]) -> Iterator[tuple[str, str, Image.Image]]:
    """Yield (noun, icon, picture) of a source that stores one bitmap per code point."""
    for noun in NOUNS:
        seen: set[str] = set()
        for name in icon_names(source, noun):
            point = codepoints.get(name, "")
            for path in (folder / "assets" / f"{point}.webp", folder / "assets" / f"{point}-fe0f.webp"):
                if path.exists() and path.name not in seen:
                    seen.add(path.name)
                    yield noun, name, Image.open(path).convert("RGBA")


def render(source: Source, node_modules: Path) -> None:
    """Write `<name>.webp` and `<name>.json` of one source."""
    folder = node_modules / source.package
    version = json.loads((folder / "package.json").read_text())["version"]
    if version != source.version:
        raise ValueError(f"{source.package} {source.version} is needed, but {version} is installed there")
    if (folder / "icons.json").exists():
        pictures = vector_pictures(source, folder)
    else:
        chars = json.loads((node_modules / "@iconify-json/noto/chars.json").read_text())
        pictures = bitmap_pictures(source, folder, {name: point for point, name in chars.items()})
    sprites, tiles = [], []
    for noun, icon, picture in pictures:
        tile = fitted(picture, source.tile)
        if tile is not None:
            sprites.append([noun, icon])
            tiles.append(tile)
    sheet = Image.new("RGBA", (COLUMNS * source.tile, -(-len(tiles) // COLUMNS) * source.tile))
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % COLUMNS * source.tile, index // COLUMNS * source.tile))
    sheet.save(ASSETS / f"{source.name}.webp", quality=88, alpha_quality=100, method=6)
    about = {
        "source": source.package, "version": version, "licence": source.licence, "author": source.author,
        "use": source.use, "monochrome": source.monochrome, "tile": source.tile, "columns": COLUMNS,
    }  # fmt: skip
    rows = ",\n".join(f"  {json.dumps(sprite)}" for sprite in sprites)
    (ASSETS / f"{source.name}.json").write_text(
        json.dumps(about, indent=1)[:-2] + f',\n "sprites": [\n{rows}\n ]\n}}\n'
    )
    missing = sorted(set(NOUNS) - {noun for noun, _ in sprites})
    size = (ASSETS / f"{source.name}.webp").stat().st_size
    lacks = ", ".join(missing) or "nothing"
    sys.stdout.write(f"{source.name}: {len(sprites)} sprites, {size / 1000:.0f} kB, without {lacks}\n")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("node_modules", type=Path)
    parser.add_argument("--only", nargs="*", help="names of the sources to draw (default: all)")
    arguments = parser.parse_args()
    for source in SOURCES:
        if not arguments.only or source.name in arguments.only:
            render(source, arguments.node_modules)


if __name__ == "__main__":
    main()
