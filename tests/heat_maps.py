"""Reads the heat map of an analysis from the service."""

import io

import numpy as np

NETWORK = "p4m-densenet"  # the default, which also judges familiarity; most tests run a faster one (servers.py)


def heat_map(client, analysis_id, quantity="score", dtype="float32"):
    """The grid (rows, cols) and the six numbers of its affine map to level 0."""
    place = f"/api/v1/analyses/{analysis_id}/heatmap"
    answer = client.call("GET", place, params={"quantity": quantity, "dtype": dtype})
    affine = [float(value) for value in answer.headers["Quarterturn-Affine"].split(",")]
    return np.load(io.BytesIO(answer.content)), affine


def logits(client, analysis_id):
    """The record itself."""
    return heat_map(client, analysis_id, "logit")[0]


def planes(client, analysis_id):
    """All that is kept of each cell: logits and strangeness, (2, rows, cols)."""
    return np.stack([heat_map(client, analysis_id, quantity)[0] for quantity in ("logit", "strangeness")])


def analysed(client, path, **settings):
    """Upload, wait, analyse: the slide and its succeeded analysis."""
    slide = client.wait_for_slide(client.upload(path, {"organ": "lymph node"}))
    assert slide["state"] == "ready", slide
    analysis = client.analyse(slide["id"], **settings)
    assert analysis["state"] == "succeeded", analysis
    assert analysis["withheld"] is None, analysis
    return slide, analysis
