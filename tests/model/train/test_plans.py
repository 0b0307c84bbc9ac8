"""Plans: a meta file that contradicts one is refused by name, and so is a list of leaks of another data set."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest

from model.train.__main__ import main
from model.train.pcam import BadData, read_split
from model.train.plans import read_plan

COUNT = 6


def write(folder, groups, clusters=("",) * COUNT):
    """PCam's files with these slide groups by split; ids are the split's name and a number."""
    for name, names in groups.items():
        stem = folder / f"camelyonpatch_level_2_split_{name}"
        with h5py.File(f"{stem}_x.h5", "w") as file:
            file["x"] = np.zeros((COUNT, 96, 96, 3), np.uint8)
        with h5py.File(f"{stem}_y.h5", "w") as file:
            file["y"] = (np.arange(COUNT, dtype=np.uint8) % 2).reshape(-1, 1, 1, 1)
        with Path(f"{stem}_meta.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "slide_group", "overlap_cluster"])
            writer.writerows([f"{name}{i}", names[i], clusters[i]] for i in range(COUNT))
    return folder


NAMED = {"train": list("aabbcc"), "valid": list("ddeeff"), "test": list("gghhii")}
UNNAMED = {"train": ["", "a", "a", "", "", ""], "valid": [""] * COUNT, "test": [""] * COUNT}


def test_a_plan_that_its_files_fit_is_read(tmp_path):
    assert len(read_plan(write(tmp_path, NAMED), "named")["train"]) == COUNT
    assert len(read_plan(write(tmp_path, UNNAMED), "official")["valid"]) == COUNT
    assert read_plan(tmp_path)["test"].ids.tolist() == [f"test{i}" for i in range(COUNT)]


@pytest.mark.parametrize(
    ("groups", "plan", "sentence"),
    [
        (NAMED | {"valid": list("ddeeaf")}, "named", "'a' are in train and in valid"),
        (NAMED | {"test": list("gghhid")}, "official", "'d' are in valid and in test"),
        (NAMED | {"test": [*"gghh", "", ""]}, "named", "2 patches of test have no slide group"),
        (UNNAMED | {"test": ["a", *[""] * 5]}, None, "'a' are in train and in test"),
        (UNNAMED, "named", "6 patches of valid have no slide group"),
    ],
)
def test_groups_that_contradict_the_plan_are_named(tmp_path, groups, plan, sentence):
    with pytest.raises(BadData, match=sentence):
        read_plan(write(tmp_path, groups), plan)


def test_overlapping_patches_in_valid_and_test_contradict_the_official_plan(tmp_path):
    splits = read_plan(write(tmp_path, UNNAMED, ["7", "7", "", "8", "", ""]))
    assert splits["valid"].clusters.tolist() == splits["test"].clusters.tolist()
    with pytest.raises(BadData, match="the overlap clusters '7', '8' are in valid and in test"):
        read_plan(tmp_path, "official")


def test_names_of_any_length_stay_apart_and_a_field_too_many_is_read_over(tmp_path):
    write(tmp_path, NAMED)
    meta = tmp_path / "camelyonpatch_level_2_split_train_meta.csv"
    rows = ["id,slide_group", *(f"{'x' * 70}{i},a,surplus" for i in range(COUNT))]
    meta.write_text("\n".join(rows) + "\n")
    assert len(set(read_split(tmp_path, "train").ids.tolist())) == COUNT


def test_leaks_are_left_out_of_train(tmp_path):
    leaks = tmp_path / "leaks.csv"
    leaks.write_text("\ufeffid,why\ntrain1,x\ntrain4,y\n", encoding="utf-8")  # as Excel writes it
    train = read_plan(write(tmp_path, NAMED), "named", leaks)["train"]
    assert train.ids.tolist() == ["train0", "train2", "train3", "train5"]
    assert train.groups.tolist() == list("abbc")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"id\ntrain1\nother7\nother8\n", "names 'other7', 'other8', which train does not have"),
        (b"name\ntrain1\n", "has no column id"),
        (b"", "has no column id"),
        (b"why,id\nx,train1\ny\n", "has a row without an id"),
        (b"id\n\xff\xfe\x00\n", "is no csv"),
    ],
)
def test_a_list_of_leaks_that_does_not_fit_is_refused(tmp_path, capsys, content, sentence):
    leaks = tmp_path / "leaks.csv"
    leaks.write_bytes(content)
    with pytest.raises(BadData, match=sentence):
        read_plan(write(tmp_path, NAMED), "named", leaks)
    assert main([str(tmp_path), "--leaks", str(leaks), "--out", str(tmp_path / "run")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_list_of_leaks_needs_ids(tmp_path):
    write(tmp_path, NAMED)
    (tmp_path / "camelyonpatch_level_2_split_train_meta.csv").unlink()
    leaks = tmp_path / "leaks.csv"
    leaks.write_text("id\ntrain1\n")
    with pytest.raises(BadData, match="train's meta file has no column id"):
        read_plan(tmp_path, None, leaks)


def test_intervals_resample_slides_then_clusters_then_patches(tmp_path):
    assert read_split(write(tmp_path, NAMED), "valid").units()[1] == "slide group"
    units, kind = read_split(write(tmp_path, UNNAMED, ["1", "1", "", "2", "", "2"]), "valid").units()
    assert kind == "overlap cluster"
    assert len(set(units.tolist())) == 4, "a patch in no cluster is its own"
    assert read_split(write(tmp_path, UNNAMED), "valid").units() == (None, "patch")
