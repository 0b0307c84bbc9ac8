"""The naive server: FastAPI, one OpenSlide handle, DeepZoomGenerator, JPEG by PIL. deepzoom_server.py SLIDE PORT"""

import io
import sys

import uvicorn
from fastapi import FastAPI, Response
from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator

app = FastAPI()
zoom = DeepZoomGenerator(OpenSlide(sys.argv[1]), tile_size=254, overlap=1)


@app.get("/{level}/{col}_{row}.jpeg")
def tile(level: int, col: int, row: int):
    """One tile."""
    buffer = io.BytesIO()
    zoom.get_tile(level, (col, row)).save(buffer, "JPEG", quality=75)
    return Response(buffer.getvalue(), media_type="image/jpeg")


uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
