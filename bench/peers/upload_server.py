"""The naive upload: FastAPI's UploadFile, copied to its place. upload_server.py FOLDER PORT"""

import shutil
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, UploadFile

app = FastAPI()


@app.post("/")
def upload(file: UploadFile):
    """Stores the file."""
    with (Path(sys.argv[1]) / "upload.bin").open("wb") as target:
        shutil.copyfileobj(file.file, target, 1 << 20)
    return {}


uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
