"""What a tutorial writes: FastAPI's UploadFile, copied to its place. upload_server.py FOLDER PORT

A POST to /flushed is answered when the disk has the bytes, too.
"""

import os
import shutil
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, UploadFile

app = FastAPI()


@app.post("/")
def upload(file: UploadFile):
    """Keep the file."""
    with (Path(sys.argv[1]) / "upload.bin").open("wb") as target:
        shutil.copyfileobj(file.file, target, 1 << 20)
    return {}


@app.post("/flushed")
def flushed(file: UploadFile):
    """Keep the file, and lose it to no power cut."""
    with (Path(sys.argv[1]) / "flushed.bin").open("wb") as target:
        shutil.copyfileobj(file.file, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    return {}


uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
