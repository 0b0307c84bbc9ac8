"""The fast forms say what the plain ones say."""

import io

import numpy as np
import pytest
import torch
from gpu.changes import DRAWS, Changes, Strength
from gpu.fast import logits_of, norms_in_order, statistics_of
from model.augment import stain_jitter
from model.densenet import DenseNet, DenseNetConfig
from PIL import Image

CPU = torch.device("cpu")
NOTHING = Strength(moved=0, blurred=0, stain=0, stain_shift=0, light=0, hue=0, jpeg=0)


def pictures(count=6, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 250, (count, 12, 12, 3), dtype=np.uint8)
    grown = [np.asarray(Image.fromarray(p).resize((96, 96), Image.Resampling.BICUBIC)) for p in small]
    return torch.from_numpy(np.stack(grown))


def changes(kind=torch.float32):
    return Changes(DenseNetConfig().mean, DenseNetConfig().std, kind)


def network(family, **more):
    torch.manual_seed(0)
    made = DenseNet(DenseNetConfig(family, n0=16, growth=12, **more))
    for norm in norms_in_order(made):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    return made


@pytest.mark.parametrize("family", ["z2", "p4", "p4m", "steerable"])
def test_fast_forward_is_the_network(family):
    made, seen = network(family), pictures()
    fast, ready = logits_of(made.config, CPU, torch.float32), changes().plain(seen)
    made.train()
    for norm in norms_in_order(made):
        norm.momentum = 1.0
    parameters = dict(made.named_parameters())
    mine, statistics = fast(parameters, ready, None)
    theirs = made(seen.permute(0, 3, 1, 2).float())[:, 0, 0]
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)
    grads = [torch.autograd.grad(x.square().sum(), list(parameters.values())) for x in (mine, theirs)]
    for a, b in zip(*grads, strict=True):
        assert (a - b).norm() <= 2e-3 * b.norm() + 1e-5
    for (mean, var), norm in zip(statistics, norms_in_order(made), strict=True):
        torch.testing.assert_close(mean, norm.running_mean, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(var, norm.running_var, rtol=5e-2, atol=1e-3)  # theirs: over n − 1
    made.eval()
    with torch.no_grad():
        mine = fast(parameters, ready, statistics_of(made))[0]
        torch.testing.assert_close(mine, made(seen.permute(0, 3, 1, 2).float())[:, 0, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("quality", [50, 75, 90])
def test_jpeg_is_libjpegs(quality):
    seen, made = pictures(), changes()
    mine = made.jpeg(seen.permute(0, 3, 1, 2).float(), torch.full((len(seen),), float(quality)))
    for picture, changed in zip(seen.numpy(), mine, strict=True):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        theirs = np.asarray(Image.open(file), dtype=np.float32)
        mine_lost, theirs_lost = changed.permute(1, 2, 0).numpy() - picture, theirs - picture
        # Alike, not equal: a coefficient between two steps may fall to the other side.
        assert np.abs(mine_lost - theirs_lost).mean() < 0.35 * np.abs(theirs_lost).mean()
        assert abs(np.abs(mine_lost).mean() / np.abs(theirs_lost).mean() - 1) < 0.1


def test_no_strength_changes_nothing():
    seen, made = pictures(), changes()
    draws = torch.rand(6, DRAWS)
    changed = made(seen, draws, NOTHING.on(CPU))
    torch.testing.assert_close(changed, made.plain(seen), rtol=0, atol=2e-3)


def test_a_move_moves():
    seen, made = pictures(1), changes()
    draws = torch.full((1, DRAWS), 0.5)
    draws[0, 2] = 1.0  # 4 px down
    moved = made.moved(seen.float(), draws, Strength(moved=1, zoom=0, blurred=0).on(CPU))[0]
    torch.testing.assert_close(moved[:, :-4], seen[0].permute(2, 0, 1).float()[:, 4:], rtol=0, atol=1e-3)


def test_stain_jitter_is_that_of_the_plain_form():
    seen, made = pictures(2), changes()
    rng = torch.Generator().manual_seed(3)
    scale, shift = torch.rand(2, 3, generator=rng), torch.rand(2, 3, generator=rng)
    draws = torch.rand(2, DRAWS)
    draws[:, 6:9], draws[:, 9:12] = scale, shift
    planes = seen.permute(0, 3, 1, 2).float()
    theirs = stain_jitter(planes, torch.Generator().manual_seed(3), 0.2, 0.03)
    torch.testing.assert_close(made.stained(planes, draws, Strength().on(CPU)), theirs, rtol=1e-3, atol=0.05)


def test_eight_views_are_eight():
    seen, made = pictures(1).expand(400, -1, -1, -1), changes()
    turned = made.turned(seen.permute(0, 3, 1, 2).float(), torch.rand(400, DRAWS), Strength(turned=1).on(CPU))
    assert len({bytes(t.byte().numpy().tobytes()) for t in turned}) == 8
