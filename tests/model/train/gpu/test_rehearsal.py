"""`python -m model.train.gpu` on a CPU, with a tiny network: what it writes, and what it refuses."""

import json
import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from pcam_files import write_pcam

from model.networks.densenet import DenseNet, DenseNetConfig
from model.train.gpu import __main__ as main_module
from model.train.gpu import course as course_module
from model.train.gpu import parcels
from model.train.gpu import plan as plan_module
from model.train.gpu.__main__ import main, read
from model.train.gpu.accelerator import Accelerator, Patches
from model.train.gpu.augmentation import Strength
from model.train.gpu.course import Course, run_steps, train
from model.train.gpu.forward import norms_in_order
from model.train.gpu.plan import Pace, Size, recipes, run_plan
from model.train.gpu.recipe import Recipe, Schedule
from model.train.loop import predict
from model.train.plans import read_plan
from model.train.run import Diverged
from model.weights.card import config_of
from model.weights.checkpoint import load_trained_network

COUNTS = {"train": 24, "valid": 12, "test": 4}
TINY = ["--device", "cpu", "--n0", "4", "--growth", "4", "--batch", "4"]
CONFIG = DenseNetConfig("p4m", n0=4, growth=4)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


@pytest.fixture
def data(tmp_path):
    return write_pcam(tmp_path / "data", COUNTS)


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch):
    monkeypatch.setattr(plan_module, "LONGEST_MEASUREMENT_S", 0.0)


@pytest.fixture
def accelerator(data):
    return accelerator_on(data, "cpu")


def accelerator_on(data, device, few=None):
    train_split, valid = read(data, few)
    patches = [Patches.of_split(split, torch.device(device)) for split in (train_split, valid)]
    return Accelerator(*patches, batch=4, compiled=False)


def record_of(out, name):
    return json.loads((out / f"{name}.json").read_text())


@pytest.mark.slow
def test_a_rehearsal_does_the_plan(data, tmp_path, monkeypatch):
    monkeypatch.setattr(course_module, "VALIDATED", ())
    short = [replace(r, passes=r.passes / 30, versions=min(2, r.versions)) for r in recipes(Size(4, 4, 4))]
    plan = [*short[:9], *(r for r in short if r.name in ("part-batch-half", "part-restarts"))]
    pace = Pace(accelerator_on(data, "cpu", few=8))
    pace.measure(plan[0])
    names = [recipe.name for recipe in plan]
    assert run_plan(pace, plan, time.monotonic() + 600, tmp_path) == names
    for suffix in (".json", ".safetensors"):
        assert {path.stem for path in tmp_path.glob(f"*{suffix}")} == set(names)
    distilled = record_of(tmp_path, "distilled-20")["recipe"]
    assert distilled["teachers"] == ["p4m-0", "p4m-1", "p4m-2", "steerable-d8-10", "wide-10"]
    assert distilled["begin_from"] in {"p4m-0", "p4m-1", "p4m-2"}
    assert len({record_of(tmp_path, f"curve-{percent}")["steps"] for percent in (10, 100)}) == 1


def test_a_short_rehearsal_does_the_first_run_and_says_what_it_left_out(data, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(data), "--out", str(out), "--minutes", "1e-6", *TINY]) == 0
    assert {path.name for path in out.iterdir()} == {"p4m-0.json", "p4m-0.safetensors"}
    last = capsys.readouterr().err.splitlines()[-1]
    assert "done: p4m-0; not done: p4m-1, p4m-2, steerable-d8-10" in last


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_leaves_its_record_and_weights_that_load(data, tmp_path, device):
    recipe = Recipe("tiny", CONFIG, passes=2, batch=4, seed=3)
    _, record = train(accelerator_on(data, device, few=12), recipe, {}, tmp_path)
    assert record == record_of(tmp_path, "tiny") | {"recipe": record["recipe"]}, "what is written is what is returned"
    assert (record["steps"], record["planned_steps"], record["seed"]) == (6, 6, 3)
    assert [entry["step"] for entry in record["history"]] == [2, 3, 5, 6]
    assert record["patches_per_second"] > 0
    config = config_of(record_of(tmp_path, "tiny")["recipe"]["config"])
    loaded, card = load_trained_network(tmp_path / "tiny.safetensors", config)
    assert card is None
    logits = predict(loaded, read(data)[1])
    torch.testing.assert_close(logits, torch.tensor(record["valid_logits"]), rtol=0, atol=1e-3)


def test_a_run_whose_loss_is_no_number_leaves_no_files(accelerator, tmp_path, capsys):
    plan = [replace(recipes(Size(4, 4, 4))[0], passes=1, lr=1e30)]
    pace = Pace(accelerator)
    pace.measure(plan[0])
    assert run_plan(pace, plan, time.monotonic() + 600, tmp_path) == []
    assert "p4m-0: the loss is nan" in capsys.readouterr().err
    assert list(tmp_path.glob("p4m-0*")) == []


def test_later_runs_are_compiled_by_two_processes_at_a_time(accelerator, monkeypatch):
    started = []

    class Process:
        def __init__(self, command):
            self.ended = False
            started.append((command[-2:], self))

        def poll(self):
            return 0 if self.ended else None

        def wait(self):
            self.ended = True

        terminate = wait

    monkeypatch.setattr(main_module.subprocess, "Popen", Process)
    plan, pace = recipes(Size(4, 4, 4)), Pace(accelerator)
    pace.measure(plan[0])
    compilations = main_module.Compilations(["DIR"], pace)
    compilations.prepare(plan)
    assert [command for command, _ in started] == [["--compile-for", n] for n in ("steerable-d8-10", "steerable-10")]
    compilations.prepare(plan[3:])
    assert [process.ended for _, process in started] == [True, False, False], "the next run's is waited for"
    assert started[-1][0] == ["--compile-for", "wide-10"]
    compilations.stop()
    assert all(process.ended for _, process in started)


def test_a_run_by_a_moment_is_shortened(accelerator, tmp_path):
    recipe = Recipe("short", CONFIG, passes=1000, batch=4)
    record = train(accelerator, recipe, {}, tmp_path, until=0.0)[1]
    assert record["steps"] == 2, "one starts the clock, the other shows that it is late"
    assert record["planned_steps"] == 6000


def test_a_loss_that_is_no_number_stops_the_run(accelerator):
    course = Course(accelerator, Recipe("x", CONFIG, batch=4))
    with torch.no_grad():
        course.network.classifier.bias.fill_(float("nan"))
    with pytest.raises(Diverged, match="the loss is nan at step 2"):
        run_steps(course, Schedule(2), ())


def test_a_student_learns_from_label_and_teacher(accelerator):
    torch.manual_seed(1)
    teacher = DenseNet(CONFIG).eval()
    teacher.classifier.bias.data.fill_(1.5)
    strength = Strength(moved=0, blurred=0, stain=0, stain_shift=0, light=0, hue=0, jpeg=0)
    course = Course(accelerator, Recipe("x", CONFIG, batch=4, strength=strength, soft=0.25, versions=2))
    course.learn_from({"teacher": teacher})
    images, targets = course._batch()
    rows = course._order[:4]
    with torch.no_grad():
        soft = torch.sigmoid(teacher(accelerator.train.pixels[rows].permute(0, 3, 1, 2).float())[:, 0, 0])
    assert images.shape == (4, 8, 96, 96)
    torch.testing.assert_close(targets, 0.75 * accelerator.train.labels[rows] + 0.25 * soft, rtol=0, atol=1e-3)


def test_a_teacher_of_another_group_is_refused(accelerator):
    course = Course(accelerator, Recipe("student", CONFIG, batch=4, versions=1))
    with pytest.raises(ValueError, match="the teacher other has the group p4, student has p4m"):
        course.learn_from({"other": DenseNet(DenseNetConfig("steerable", n0=4, growth=4))})


def test_renewed_statistics_are_those_of_the_patches(accelerator):
    network = DenseNet(CONFIG)
    strength = Strength(moved=0, blurred=0, stain=0, stain_shift=0, light=0, hue=0, jpeg=0)
    accelerator.renew_statistics(network, strength, seed=0, count=24, batches=6, dtype=torch.float32)
    first = norms_in_order(network)[0]
    with torch.no_grad():
        images = (accelerator.train.pixels.permute(0, 3, 1, 2).float() - network.mean) / network.std
        planes = network.lifting(images)
    torch.testing.assert_close(first.running_mean[0], planes[:, :8].mean(), rtol=1e-3, atol=1e-3)


def test_pace_is_measured_once(accelerator):
    pace, recipe = Pace(accelerator), recipes(Size(4, 4, 4))[0]
    pace.measure(recipe)
    cost = pace.cost(recipe)
    pace.measure(recipe)
    assert pace.cost(recipe) is cost
    assert cost.step_s > 0 < cost.validation_s


@pytest.mark.slow
def test_every_architecture_is_compiled(data, monkeypatch):
    """By default torch.compile leaves the ninth form of one function to the interpreter."""
    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=count))
    monkeypatch.setattr(torch._dynamo.config, "cache_size_limit", 8)
    patches = Patches.of_split(read(data)[0], torch.device("cpu"))
    accelerator = Accelerator(patches, patches, batch=2, compiled=True)
    images = accelerator.augmentation.unchanged(patches.pixels[:2])
    for n0 in range(4, 14):
        network = DenseNet(DenseNetConfig("z2", n0=n0, growth=4, blocks=1))
        accelerator.forward(network.config, "training")(dict(network.named_parameters()), images, None)
    assert len(graphs) == 10


def test_files_and_parcels_give_the_same_patches_in_the_same_order(data, tmp_path):
    parcels.write(tmp_path / "parcels", read_plan(data, "official"))
    for of_files, of_parcels in zip(read(data), read(tmp_path / "parcels"), strict=True):
        assert of_files.labels.tolist() == of_parcels.labels.tolist()
        apart = of_files.patches.astype(int) - of_parcels.patches
        assert abs(apart).mean() < 4
    assert len(read(data, few=5)[0]) == len(read(data, few=5)[1]) == 5


def test_what_another_process_compiles_is_a_run_of_the_plan(tmp_path, capsys):
    assert main([str(tmp_path), "--compile-for", "wide-10", *TINY]) == 0
    assert "wide-10: " in capsys.readouterr().err
    assert main([str(tmp_path), "--compile-for", "other", *TINY]) == 2
    assert "the plan has no run 'other'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--minutes", "0"], "--minutes is 0: it must be above 0"),
        (["--minutes", "-3"], "--minutes is -3: it must be above 0"),
        (["--minutes", "nan"], "--minutes is nan: it must be above 0"),
        (["--few", "0"], "--few is 0: it must be at least 2"),
        (["--n0", "1"], "--n0 is 1: it must be at least 4"),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_sentence(data, tmp_path, capsys, arguments, sentence):
    assert main([str(data), "--out", str(tmp_path / "out"), *TINY, *arguments]) == 2
    assert capsys.readouterr().err == f"Not trained: {sentence}.\n"
    assert not (tmp_path / "out").exists()


def test_missing_data_is_refused_in_a_sentence(tmp_path, capsys):
    assert main([str(tmp_path), "--out", str(tmp_path / "out"), *TINY]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Not trained: ")
    assert "must hold PCam's HDF5 files" in error
    assert not (tmp_path / "out").exists()


def test_a_plan_that_the_meta_files_contradict_is_refused_in_a_sentence(tmp_path, capsys):
    data = write_pcam(tmp_path / "data", COUNTS, {"valid": "7", "test": "7"})
    assert main([str(data), "--out", str(tmp_path / "out"), *TINY]) == 2
    assert capsys.readouterr().err == "Not trained: the overlap clusters '7' are in valid and in test.\n"


@pytest.mark.parametrize("arguments", [[], ["--device", "cuda"]])
def test_without_a_gpu_the_cpu_must_be_named(data, tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([str(data), "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error == "Not trained: PyTorch sees no CUDA device (name --device cpu to rehearse without one).\n"
