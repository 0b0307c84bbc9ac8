"""Run by a peer's interpreter: python read_regions.py LIBRARY SLIDE LEVEL SIDE PLACES. Prints CPU seconds a region.

PLACES: JSON, level-0 (x, y) of each region. All are read once as a warm-up and eight times more; the best round counts.
Prints {"error": …} where the library is missing.
"""

import json
import sys
import time


def opened(library, path):
    """A function (x_l0, y_l0, level, side) → RGB array."""
    import numpy as np

    if library == "cucim":
        from cucim import CuImage

        image = CuImage(path)
        return lambda x, y, level, side: np.asarray(image.read_region((x, y), (side, side), level))
    if library == "tiffslide":
        from tiffslide import TiffSlide

        slide = TiffSlide(path)
        return lambda x, y, level, side: slide.read_region((x, y), level, (side, side), as_array=True)
    if library == "pyvips":
        import pyvips

        regions = {}

        def read(x, y, level, side):
            if level not in regions:
                image = pyvips.Image.new_from_file(path, page=level)
                regions[level] = (pyvips.Region.new(image), image.width, image.bands)
            region, _, bands = regions[level]
            scale = regions[level][1] / width_l0
            raw = region.fetch(round(x * scale), round(y * scale), side, side)
            return np.frombuffer(raw, np.uint8).reshape(side, side, bands)

        width_l0 = pyvips.Image.new_from_file(path, page=0).width
        return read
    raise ImportError(library)


def main():
    library, path, level, side, places = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5]), json.loads(sys.argv[5])
    try:
        read = opened(library, path)
    except ImportError as error:
        print(json.dumps({"error": str(error)}))
        return
    rounds = []
    for _ in range(9):
        began = time.process_time()
        for x, y in places:
            read(x, y, level, side)
        rounds.append(time.process_time() - began)
    print(json.dumps({"seconds": min(rounds[1:]) / len(places)}))


if __name__ == "__main__":
    main()
