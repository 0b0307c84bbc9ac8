"""Training on a tiny data set: it resumes after a kill with the same result, and its output can be measured."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from model.checks import golden
from model.evidence import evaluate
from model.networks.densenet import DenseNetConfig
from model.networks.registry import get_system
from model.train.__main__ import main
from model.train.loop import computes_bfloat16
from model.train.metrics import CannotCalibrate, auc, bootstrap_auc, fit_calibration, summary
from model.train.pcam import read_split
from model.train.recipe import Recipe
from model.train.run import Run
from model.weights.checkpoint import SHIPPED, load_averaged_network, read_card

SMALL = ["--n0", "8", "--growth", "4", "--batch", "4", "--no-bf16", "--threads", "1", "--every", "1"]


@pytest.fixture
def data(tmp_path):
    """PCam's layout, with labels that follow from the colour."""
    rng, folder = np.random.default_rng(0), tmp_path / "data"
    folder.mkdir()
    for split, count in (("train", 16), ("valid", 12), ("test", 12)):
        labels = np.arange(count) % 2
        patches = rng.integers(120, 200, (count, 96, 96, 3), dtype=np.uint8)
        patches[labels == 1, 32:64, 32:64] //= 2
        stem = folder / f"camelyonpatch_level_2_split_{split}"
        with h5py.File(f"{stem}_x.h5", "w") as file:
            file["x"] = patches
        with h5py.File(f"{stem}_y.h5", "w") as file:
            file["y"] = labels.astype(np.uint8).reshape(-1, 1, 1, 1)
        rows = [f"{i},{label},g{i // 4},s" for i, label in enumerate(labels)]
        (folder / f"{stem.name}_meta.csv").write_text("\n".join(["id,label,slide_group,source", *rows]) + "\n")
    return folder


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_result(data, tmp_path, capsys):
    through, killed = tmp_path / "through", tmp_path / "killed"
    main([str(data), "--out", str(through), "--epochs", "2", *SMALL])
    command = [sys.executable, "-m", "model.train", str(data), "--out", str(killed), "--epochs", "2", *SMALL]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (killed / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    main([str(data), "--out", str(killed), "--epochs", "2", *SMALL])
    for key, value in load_averaged_network(through / "checkpoint.pt").state_dict().items():
        torch.testing.assert_close(
            load_averaged_network(killed / "checkpoint.pt").state_dict()[key], value, rtol=0, atol=1e-6
        )
    assert json.loads((through / "metrics.json").read_text())["history"][-1]["valid"]["auc"] >= 0
    before = (killed / "checkpoint.pt").read_bytes()
    capsys.readouterr()
    assert main([str(data), "--out", str(killed), "--epochs", "2", "--seed", "5", *SMALL]) == 2
    assert "another architecture or recipe" in capsys.readouterr().err
    assert (killed / "checkpoint.pt").read_bytes() == before


@pytest.mark.slow
def test_trained_weights_can_be_shipped_and_measured(data, tmp_path, capsys):
    out, into, answer = tmp_path / "run", tmp_path / "shipped", tmp_path / "answer.json"
    # Some labels contradict the colour: labels that logits separate have no calibration.
    spoil(data, "valid_y", "y", lambda y: np.concatenate([y[:-3], 1 - y[-3:]]))
    main([str(data), "--out", str(out), "--epochs", "1", *SMALL])
    shipping = ["--weights", str(out / "checkpoint.pt"), "--ship", "tiny", "--into", str(into)]
    evaluate.main([str(data), "--split", "test", "--json", str(answer), *shipping])
    figures = json.loads(answer.read_text())
    assert 0 <= figures["auc_interval"][0] <= figures["auc"] <= figures["auc_interval"][1] <= 1
    assert figures["interval_by"] == "slide group"
    assert figures["slide_groups"] == 3
    card = read_card("tiny", into)
    assert (figures["temperature"], figures["bias"]) == (card.temperature, card.bias) != (1.0, 0.0)
    assert card.metrics["valid"]["calibration_slope"] == pytest.approx(1, abs=1e-3)
    assert card.metrics["valid"]["calibration_intercept"] == pytest.approx(0, abs=1e-3)
    main(
        [str(data), "--out", str(tmp_path / "more"), "--epochs", "1", "--init", str(into / "tiny.safetensors"), *SMALL]
    )


def test_auc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 60), rng.integers(0, 6, 60)
    pairs = [(p > n) + (p == n) / 2 for p in scores[labels == 1] for n in scores[labels == 0]]
    assert auc(labels, scores) == pytest.approx(np.mean(pairs))
    low, high = bootstrap_auc(labels, scores, np.arange(60) // 6, rounds=200)
    assert low < auc(labels, scores) < high


def test_the_calibration_undoes_a_scaling_and_a_shift():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-logits))).astype(int)
    temperature, bias = fit_calibration(labels, 3 * logits + 6)
    assert (temperature, bias) == pytest.approx((3, -2), rel=0.06)
    assert summary(labels, (3 * logits + 6) / temperature + bias)["nll"] <= summary(labels, logits)["nll"]


def test_logits_that_fall_where_labels_rise_cannot_be_calibrated():
    logits, labels = np.linspace(-2, 2, 200), np.arange(200) < 100
    labels[::7] ^= True
    with pytest.raises(CannotCalibrate, match="nothing to calibrate"):
        fit_calibration(labels.astype(int), logits)


@pytest.mark.parametrize("labels", [np.zeros(50, int), np.ones(50, int), (np.arange(50) > 20).astype(int)])
def test_one_class_and_separate_classes_have_no_calibration(labels):
    with pytest.raises(CannotCalibrate, match="nothing to calibrate"):
        fit_calibration(labels, np.linspace(-1, 1, 50))


def spoil(folder, name, key, change):
    """Rewrites a data set of a file."""
    path = folder / f"camelyonpatch_level_2_split_{name}.h5"
    with h5py.File(path) as file:
        content = change(np.asarray(file[key][:]))
    with h5py.File(path, "w") as file:
        file[key] = content


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("train_x", lambda x: x[:, :90], "expected (N, 96, 96, 3)"),
        ("train_x", lambda x: x.astype(np.float32), "holds float32: expected uint8"),
        ("train_y", lambda y: y[1:], "expected (N, 96, 96, 3) and N labels"),
        ("train_y", lambda y: y * 7, "labels other than 0 and 1"),
    ],
)
def test_data_that_is_not_pcams_is_refused_in_a_sentence(data, tmp_path, capsys, name, change, sentence):
    spoil(data, name, name[-1], change)
    assert main([str(data), "--out", str(tmp_path / "run"), "--epochs", "1", *SMALL]) == 2
    errors = capsys.readouterr().err
    assert sentence in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists(), "no partial run is left"


def test_a_file_that_is_no_hdf5_is_refused_in_a_sentence(data, tmp_path, capsys):
    (data / "camelyonpatch_level_2_split_train_x.h5").write_bytes(b"no hdf5")
    assert main([str(data), "--out", str(tmp_path / "run"), *SMALL]) == 2
    assert "no HDF5 file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_nan_loss_stops_the_run_and_keeps_the_checkpoint(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert main([str(data), "--out", str(out), "--epochs", "1", *SMALL]) == 0
    before = (out / "checkpoint.pt").read_bytes()
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    state["step"] -= 1
    state["network"]["classifier.bias"].fill_(float("nan"))
    torch.save(state, out / "checkpoint.pt")
    poisoned = (out / "checkpoint.pt").read_bytes()
    assert main([str(data), "--out", str(out), "--epochs", "1", *SMALL]) == 2
    assert "the loss is nan" in capsys.readouterr().err
    assert (out / "checkpoint.pt").read_bytes() == poisoned != before


@pytest.mark.slow
def test_a_checkpoint_of_another_architecture_is_refused(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert main([str(data), "--out", str(out), "--epochs", "1", *SMALL]) == 0
    before = (out / "checkpoint.pt").read_bytes()
    assert main([str(data), "--out", str(out), "--epochs", "1", "--network", "p4-densenet", *SMALL]) == 2
    assert "another architecture" in capsys.readouterr().err
    assert (out / "checkpoint.pt").read_bytes() == before


def test_only_patches_of_known_slides_are_used_when_asked(data, tmp_path, capsys):
    meta = data / "camelyonpatch_level_2_split_train_meta.csv"
    lines = meta.read_text().splitlines()
    meta.write_text("\n".join([lines[0], *(f"{i},{i % 2},,s" if i < 8 else line for i, line in enumerate(lines[1:]))]))
    split = read_split(data, "train")
    assert split.slide_groups() is None
    assert len(split.with_known_slides()) == 8
    assert main([str(data), "--out", str(tmp_path / "run"), "--epochs", "1", "--slides", "known", *SMALL]) == 0
    meta.unlink()
    assert main([str(data), "--out", str(tmp_path / "none"), "--slides", "known", *SMALL]) == 2
    assert "names no slide group" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"no checkpoint", b"", b"PK\x03\x04 no archive"])
def test_weights_that_are_no_checkpoint_are_refused_in_a_sentence(data, tmp_path, capsys, content):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(content)
    assert main([str(data), "--out", str(tmp_path / "run"), "--init", str(weights), *SMALL]) == 2
    assert "is not a training checkpoint" in capsys.readouterr().err
    assert evaluate.main([str(data), "--weights", str(weights)]) == 2
    assert "is not a training checkpoint" in capsys.readouterr().err


def test_measuring_without_data_or_shipping_without_weights_says_what_is_missing(tmp_path, capsys):
    assert evaluate.main([str(tmp_path)]) == 2
    assert "must hold PCam's HDF5 files" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate.main([str(tmp_path), "--ship", "tiny"])
    assert "--ship needs --weights" in capsys.readouterr().err


@pytest.mark.slow
def test_a_kill_between_metrics_and_checkpoint_leaves_no_step_twice(data, tmp_path):
    out = tmp_path / "run"
    assert main([str(data), "--out", str(out), "--epochs", "1", "--validate", "2", *SMALL]) == 0
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    state["step"] = 2
    torch.save(state, out / "checkpoint.pt")
    assert main([str(data), "--out", str(out), "--epochs", "1", "--validate", "2", *SMALL]) == 0
    history = json.loads((out / "metrics.json").read_text())["history"]
    assert [entry["step"] for entry in history] == [2, 4]


def test_a_checkpoint_of_version_0_1_still_loads_answers_the_same_and_goes_on():
    path = Path(__file__).with_name("checkpoint-0.1.0.pt")
    answers = [-0.319686, -0.321012, -0.323661, -0.322856, -0.323501, -0.323812, -0.325703, -0.315496]
    np.testing.assert_allclose(golden.outputs(load_averaged_network(path)), answers, atol=1e-5)
    state = torch.load(path, weights_only=True)
    run = Run(DenseNetConfig("p4m", n0=6, growth=3), Recipe(batch=4, seed=3), steps=4, device=torch.device("cpu"))
    run.restore(state)
    assert run.step == 2
    images = torch.from_numpy(golden.pictures()[:4]).permute(0, 3, 1, 2).float()
    run.advance(run.network.train(), images, torch.tensor([0.0, 1.0, 0.0, 1.0]), bf16=False)
    assert run.step == 3


TAUGHT = ["--epochs", "1", "--soft", "0.7"]


def test_a_network_learns_from_its_teachers_and_resumes_with_the_same(data, tmp_path, capsys):
    teacher = Path(__file__).with_name("checkpoint-0.1.0.pt")
    command = [str(data), "--out", str(tmp_path / "run"), *TAUGHT, "--teachers", str(teacher), *SMALL]
    assert main(command) == 0
    assert main([str(data), "--out", str(tmp_path / "alone"), "--epochs", "1", *SMALL]) == 0
    taught, alone = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("run", "alone"))
    assert not torch.equal(taught["network"]["classifier.weight"], alone["network"]["classifier.weight"])
    assert main(command) == 0, "an ended run goes on where it ended"
    other = tmp_path / "other.pt"
    torch.save({**torch.load(teacher, weights_only=True), "step": 3}, other)
    capsys.readouterr()
    assert main([*command[: -len(SMALL) - 1], str(other), *SMALL]) == 2
    assert "other teachers" in capsys.readouterr().err


def test_the_target_of_a_taught_step_lies_between_label_and_teacher():
    run = Run(DenseNetConfig("p4m", n0=6, growth=3), Recipe(batch=4, soft=0.25), steps=4, device=torch.device("cpu"))
    run.learn_from([Path(__file__).with_name("checkpoint-0.1.0.pt")])
    images = torch.from_numpy(golden.pictures()[:2]).permute(0, 3, 1, 2).float()
    labels = torch.tensor([0.0, 1.0])
    soft = torch.sigmoid(torch.tensor(golden.outputs(run.teachers[0])[:2]))
    torch.testing.assert_close(run._targets(images, labels), 0.75 * labels + 0.25 * soft, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--teachers", "TEACHER", *TAUGHT, "--network", "p4-densenet"], "has the group p4m, the network p4"),
        (["--teachers", "TEACHER", "--epochs", "1"], "--teachers and --soft go together"),
        (TAUGHT, "--teachers and --soft go together"),
        (["--teachers", "TEACHER", "--epochs", "1", "--soft", "1.5"], "at most 1"),
        (["--teachers", "TEACHER", "--epochs", "1", "--soft", "-0.2"], "at most 1"),
        (["--teachers", "nowhere.pt", *TAUGHT], "is not a training checkpoint"),
    ],
)
def test_teachers_that_cannot_teach_are_refused_in_a_sentence(data, tmp_path, capsys, arguments, sentence):
    teacher = str(Path(__file__).with_name("checkpoint-0.1.0.pt"))
    named = [teacher if word == "TEACHER" else word for word in arguments]
    assert main([str(data), "--out", str(tmp_path / "run"), *named, *SMALL]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_weights_without_a_card_are_measured_by_the_architecture_that_is_named(data, tmp_path, capsys):
    bare, figures = tmp_path / "bare.safetensors", tmp_path / "figures.json"
    network = get_system("z2-densenet").build().eval()
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, bare)
    command = [str(data), "--weights", str(bare), "--json", str(figures)]
    assert evaluate.main([*command, "--network", "p4m-densenet"]) == 2
    assert "no file of weights of this architecture" in capsys.readouterr().err
    assert not figures.exists()
    assert evaluate.main([*command, "--network", "z2-densenet"]) == 0
    content = json.loads(figures.read_text())
    assert (content["weights"], content["temperature"], content["bias"]) == (None, 1.0, 0.0)
    assert content["interval_by"] == "slide group"
    assert content["nll_interval"][0] <= content["nll"] <= content["nll_interval"][1]


def test_shipped_weights_are_measured_with_their_card(data, tmp_path):
    figures = tmp_path / "figures.json"
    weights = SHIPPED / "p4-densenet.safetensors"
    assert evaluate.main([str(data), "--weights", str(weights), "--json", str(figures)]) == 0
    content, card = json.loads(figures.read_text()), read_card("p4-densenet")
    assert (content["weights"], content["temperature"]) == (card.digest, card.temperature)


def test_a_plan_that_the_files_contradict_stops_the_measurement(data, capsys):
    assert evaluate.main([str(data), "--plan", "named"]) == 2
    assert "are in train and in valid" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the kernel does not list the instructions here")
def test_a_cpu_trains_in_bfloat16_only_with_instructions_for_it():
    """Emulated, a step takes a dozen times as long."""
    instructions = set(Path("/proc/cpuinfo").read_text().split())
    assert computes_bfloat16(torch.device("cpu")) == bool(instructions & {"avx512_bf16", "amx_tile"})
    assert computes_bfloat16(torch.device("cuda"))
