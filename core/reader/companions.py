"""Label and macro of an open slide. Both may show the patient's name."""

from pathlib import Path

import openslide
from PIL import Image

from core.errors import MachineFault, NoSuchPart
from core.reader.reasons import from_openslide

MOST_COMPANION_PX = 1 << 24
MASKED_END = 0.35  # of the long side of a macro, at both ends: a label covers up to a third of the glass
MASK_COLOUR = (200, 200, 200)
WHITE = (255, 255, 255, 255)
NO_COMPANION = "nothing to do: the slide itself can be read"


def companion(slide: openslide.OpenSlide, path: Path, name: str) -> Image.Image:
    """Returns an associated image as RGB on white.

    Raises:
        NoSuchPart: there is none, it is damaged, or its claimed size would be a decompression bomb.
    """
    if name not in list(slide.associated_images):  # `in` on the mapping itself would decode the image
        raise NoSuchPart(f"no-{name}", f"the slide's file has no {name}", NO_COMPANION)
    sides = [int(slide.properties[f"openslide.associated.{name}.{side}"]) for side in ("width", "height")]
    if sides[0] * sides[1] > MOST_COMPANION_PX:
        claimed = f"the {name} claims {sides[0]}×{sides[1]} pixels, which is no {name}"
        raise NoSuchPart(f"no-{name}", claimed, NO_COMPANION)
    try:
        rgba = slide.associated_images[name]
    except openslide.OpenSlideError as error:
        reason = from_openslide(error, path, f"the {name} is damaged")
        if isinstance(reason, MachineFault):
            raise reason from error
        raise NoSuchPart(f"no-{name}", reason.detail, NO_COMPANION) from error
    return Image.alpha_composite(Image.new("RGBA", rgba.size, WHITE), rgba).convert("RGB")


def with_masked_ends(macro: Image.Image) -> Image.Image:
    """Paints over both ends of a macro's long side. The label lies at one of them; formats do not say at which."""
    along = 0 if macro.width >= macro.height else 1
    ends = round(MASKED_END * macro.size[along])
    end = Image.new("RGB", (ends, macro.height) if along == 0 else (macro.width, ends), MASK_COLOUR)
    for start in (0, macro.size[along] - ends):
        macro.paste(end, (start, 0) if along == 0 else (0, start))
    return macro
