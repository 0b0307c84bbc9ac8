"""The registry: every network that can be trained, measured and served, by name.

A network is added here. Its layers come from a family, so most need one line; docs/contributing/network.md has the
rest.
"""

from dataclasses import dataclass, replace
from typing import Any

from model.networks.densenet import DenseNet, DenseNetConfig


@dataclass(frozen=True)
class System:
    """A named network: its architecture, a description, and the network whose weights it uses when it has none."""

    name: str
    config: DenseNetConfig
    about: str
    weights_of: str | None = None
    half: tuple[int, int] = (16, 12)  # n0 and growth of the small form that the comparisons train

    @property
    def dihedral(self) -> bool:
        """Whether training turns and mirrors its patches: not where the network is exactly invariant to both."""
        return self.config.group.name != "p4m"

    def small(self) -> DenseNetConfig:
        """The config at about a quarter of the parameters (for z2-wide: at the FLOPs of the small p4m-densenet)."""
        n0, growth = self.half
        return replace(self.config, n0=n0, growth=growth)

    def build(self, **changes: Any) -> DenseNet:
        """An untrained network; `changes` override fields of the config, such as `n0` or `growth`."""
        return DenseNet(replace(self.config, **changes))


_ALL = (
    System("p4m-densenet", DenseNetConfig("p4m"), "group convolution over quarter turns and mirrors (Veeling 2018)"),
    System("p4-densenet", DenseNetConfig("p4"), "group convolution over quarter turns (Cohen & Welling 2016)"),
    System("z2-densenet", DenseNetConfig("z2"), "plain convolution, trained on turned and mirrored patches"),
    System(
        "z2-eight-views",
        DenseNetConfig("z2", views="mean"),
        "the same, its logits averaged over the eight views",
        weights_of="z2-densenet",
    ),
    System(
        "z2-wide",
        DenseNetConfig("z2", n0=89, growth=65),
        "plain convolution at the FLOPs of p4m-densenet",
        half=(45, 33),
    ),
    System("ti-pooling", DenseNetConfig("z2", views="max"), "maximum of the features of eight views (Laptev 2016)"),
    System(
        "harmonic",
        DenseNetConfig("harmonic", n0=28, growth=21),
        "Harmonic Network, orders 0 and 1 (Worrall 2017)",
        half=(14, 10),
    ),
    System(
        "steerable",
        DenseNetConfig("steerable", n0=28, growth=22),
        "steerable filters in eight orientations (Weiler 2018)",
        half=(14, 11),
    ),
    System(
        "steerable-d8",
        DenseNetConfig("steerable-d8", n0=28, growth=22),
        "steerable filters in eight orientations and their mirror images (Weiler & Cesa 2019)",
        half=(16, 11),
    ),
)
SYSTEMS = {system.name: system for system in _ALL}


def get_system(name: str) -> System:
    """A named network of the registry.

    Raises:
        ValueError: any other name.
    """
    if name not in SYSTEMS:
        raise ValueError(f"unknown network {name!r}: choose {', '.join(SYSTEMS)}")
    return SYSTEMS[name]
