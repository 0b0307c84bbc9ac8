"""The eight views of a slide get the same heat map from the running service."""

import csv
import io
import zipfile

import numpy as np
import pytest
from heat_maps import NETWORK, analysed, heat_map
from PIL import Image
from slides import tissue, write_pyramid

from model.groups.group import get_group, transform
from model.inference.dense import infer
from model.inference.frozen import freeze
from model.train.metrics import auc
from model.weights.checkpoint import load_network

pytestmark = pytest.mark.services


@pytest.mark.parametrize("mpp", [0.25, 0.499])
def test_the_eight_views_get_the_same_heat_map(client, service, tmp_path, mpp):
    """On one engine all eight; on the other, whose pixels and network are the same, the first and the last."""
    group, pixels = get_group("p4m"), tissue(811, 1037, [(300, 420, 250)])
    maps, strange = [], []
    views = range(8) if "QUARTERTURN_BROKER_URL" not in service.environment else (0, 7)
    for g in views:
        element = group.elements[g]
        path = write_pyramid(tmp_path / "view.tiff", np.ascontiguousarray(transform(pixels, element)), mpp)
        _, analysis = analysed(client, path, rotation_check=False, model=NETWORK)
        maps.append(heat_map(client, analysis["id"], "logit")[0])
        strange.append(heat_map(client, analysis["id"], "strangeness")[0])
    assert np.isfinite(maps[0]).any()
    assert np.isnan(maps[0]).any(), "glass is not analysed"
    for turned in (maps, strange):
        for g, one in zip(views, turned, strict=True):
            back = transform(one, group.elements[group.inverse[g]])
            np.testing.assert_array_equal(np.isnan(back), np.isnan(maps[0]))
            np.testing.assert_allclose(back, turned[0], rtol=0, atol=1e-4)


def test_a_mosaic_of_labelled_patches_scores_as_the_patches_do(client, service, test_data, tmp_path):
    """AUC of the cells at the patch centres, through the service, equals direct evaluation within 0.002."""
    with (test_data / "data" / "pcam_test.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen = rows[:: len(rows) // 64][:64]
    with zipfile.ZipFile(test_data / "data" / "pcam_test.zip") as archive:
        members = {name.rsplit("/", 1)[-1].split(".")[0]: name for name in archive.namelist()}
        patches = np.stack(
            [np.asarray(Image.open(io.BytesIO(archive.read(members[row["id"]]))).convert("RGB")) for row in chosen]
        )
    labels = np.array([int(row["label"]) for row in chosen])
    mosaic = patches.reshape(8, 8, 96, 96, 3).transpose(0, 2, 1, 3, 4).reshape(768, 768, 3)
    maps = []
    group = get_group("p4m")
    views = group.elements if service.environment.get("QUARTERTURN_BROKER_URL") is None else group.elements[:1]
    for element in views:
        path = write_pyramid(tmp_path / "mosaic.tiff", np.ascontiguousarray(transform(mosaic, element)), 0.972)
        _, analysis = analysed(client, path, tissue="all", rotation_check=False, model=NETWORK)
        maps.append(heat_map(client, analysis["id"], "logit")[0])
    for g, turned in enumerate(maps):
        np.testing.assert_allclose(transform(turned, group.elements[group.inverse[g]]), maps[0], rtol=0, atol=1e-4)
    cells = maps[0][3::6, 3::6].reshape(-1)
    network, card = load_network()
    direct = card.calibrate(infer(freeze(network), patches)[:, 0, 0])
    np.testing.assert_allclose(cells, direct, atol=1e-3)
    assert abs(auc(labels, cells) - auc(labels, direct)) <= 0.002
