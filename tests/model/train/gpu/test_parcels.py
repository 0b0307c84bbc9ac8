"""Parcels give back the pixels of each patch's JPEG, and every label in its split."""

import io

import numpy as np
import pytest
from pcam_files import write_pcam
from PIL import Image

from model.train.gpu import parcels
from model.train.pcam import BadData, read_split

COUNTS = {"train": 21, "valid": 9, "test": 4}
SMALL = parcels.SPARE_BYTES + 20_000  # bytes: several parcels


@pytest.fixture
def data(tmp_path):
    return write_pcam(tmp_path / "data", COUNTS)


def splits_of(data):
    return {name: read_split(data, name) for name in ("train", "valid")}


def libjpegs(patch):
    file = io.BytesIO()
    Image.fromarray(patch).save(file, "JPEG", quality=75, subsampling="4:2:0")
    return np.asarray(Image.open(file))


def test_parcels_give_back_the_pixels_of_each_jpeg(data, tmp_path):
    splits = splits_of(data)
    paths = parcels.write(tmp_path / "parcels", splits, SMALL)
    assert len(paths) > 1
    assert all(path.stat().st_size <= SMALL for path in paths)
    packed = parcels.read(tmp_path / "parcels")
    assert packed.keys() == {"train", "valid"}, "never test"
    for name, split in splits.items():
        np.testing.assert_array_equal(packed[name].patches, np.stack([libjpegs(patch) for patch in split.patches]))
        np.testing.assert_array_equal(packed[name].labels, split.labels)
    assert (packed["train"].groups == "").all()


def test_the_command_packs_a_folder(data, tmp_path, capsys):
    assert parcels.main([str(data), str(tmp_path / "parcels")]) == 0
    assert "parcel-1.npz" in capsys.readouterr().out
    assert len(parcels.read(tmp_path / "parcels")["train"]) == COUNTS["train"]


def test_what_cannot_be_packed_is_refused_in_a_sentence(data, tmp_path, capsys):
    assert parcels.main([str(tmp_path), str(tmp_path / "parcels")]) == 2
    assert "Not packed: " in capsys.readouterr().err
    assert parcels.main([str(data), str(tmp_path / "parcels"), "--most-bytes", "10"]) == 2
    assert "at least 1 MiB" in capsys.readouterr().err
    assert not (tmp_path / "parcels").exists()


def test_a_missing_parcel_is_noticed(data, tmp_path):
    paths = parcels.write(tmp_path, splits_of(data), SMALL)
    paths[-1].unlink()
    with pytest.raises(BadData, match=f"holds {len(paths) - 1} parcels of {len(paths)}"):
        parcels.read(tmp_path)


def test_a_file_that_is_no_parcel_is_refused(tmp_path):
    (tmp_path / "parcel-1.npz").write_bytes(b"no parcel")
    with pytest.raises(BadData, match="is no parcel"):
        parcels.read(tmp_path)


def test_a_patch_that_is_no_jpeg_is_refused(data, tmp_path):
    (path,) = parcels.write(tmp_path, splits_of(data))
    with np.load(path) as content:
        arrays = dict(content)
    np.savez(path, **{**arrays, "header": np.zeros_like(arrays["header"])})
    with pytest.raises(BadData, match="holds a patch that is no JPEG"):
        parcels.read(tmp_path)
