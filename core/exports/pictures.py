"""Heat maps as pictures."""

import io

import numpy as np
from PIL import Image

from core.heatmap import planes


def heatmap_png(scores: planes.Values) -> bytes:
    """A PNG of one pixel a cell: grey 0 to 254 for scores 0 to 1, transparent where nothing was analysed (NaN)."""
    grey = planes.to_uint8(scores)
    alpha = np.where(grey == planes.NOT_ANALYSED, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.stack([grey, alpha], -1), "LA").save(buffer, "PNG")
    return buffer.getvalue()
