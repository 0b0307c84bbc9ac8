"""Filter banks: every transformed copy of a filter, by an index gather, or as a sum of basis functions.

A lifting convolution correlates an image with every transformed copy of a filter ψ (Cohen & Welling 2016, eq. 10);
a group convolution does the same on the group, where a transformed copy is also permuted along the stabilizer axis
(eq. 11). For output element s, input element t and offset y

    lifting:  bank[s](y)    = ψ(s⁻¹ y)              = (T_s ψ)(y)
    group:    bank[s](t, y) = ψ(s⁻¹ t, s⁻¹ y)       = (T_s ψ[s⁻¹ t])(y)

so each bank is one gather of ψ's flat values by an index that depends on the group and the filter size alone.
Channels and elements are flattened as index = channel · |G| + element. A family whose turned filters are no permutation
of pixels (harmonic, steerable) states its bank as a linear combination of fixed functions instead (`combine`).
"""

import torch
from torch import Tensor

from model.groups.group import Group


def lifting_index(group: Group, k: int) -> Tensor:
    """The gather of a lifting bank: (|G|, k·k) indices into a flat k×k filter; row s, column y."""
    return torch.from_numpy(group.grid_action(k))


def group_index(group: Group, k: int) -> Tensor:
    """The gather of a group bank: (|G|, |G|·k·k) indices into a flat (|G|, k, k) filter; row s, column (t, y)."""
    source_element = group.product[group.inverse]  # (s, t) → s⁻¹ t
    source_offset = group.grid_action(k)  # (s, y) → s⁻¹ y
    index = source_element[:, :, None] * (k * k) + source_offset[:, None, :]  # (s, t, y)
    return torch.from_numpy(index.reshape(len(group), -1))


def expand(weight: Tensor, index: Tensor) -> Tensor:
    """Gathers the filter bank of an ordinary 2-D convolution.

    Args:
        weight: (out, in, k, k) with a lifting index, (out, in, |G|, k, k) with a group index.
        index: (|G|, V), V the values of one filter: k·k, or |G|·k·k.

    Returns:
        (out·|G|, in, k, k) or (out·|G|, in·|G|, k, k).
    """
    out, channels, k = weight.shape[0], weight.shape[1], weight.shape[-1]
    flat = weight.flatten(2)  # (out, in, V)
    gathered = flat.index_select(2, index.flatten()).view(out, channels, *index.shape)  # (out, in, |G|, V)
    return gathered.transpose(1, 2).reshape(out * index.shape[0], -1, k, k)  # element beside its output channel


def combine(weight: Tensor, basis: Tensor) -> Tensor:
    """Sums the filter bank of an ordinary 2-D convolution from fixed basis functions.

    Args:
        weight: (out, in, functions), the coefficients.
        basis: (functions, s, t, k, k), the filter of each function from input plane t to output plane s.

    Returns:
        (out·s, in·t, k, k), the planes of a channel side by side.
    """
    out, channels, _ = weight.shape
    _, planes_out, planes_in, k, _ = basis.shape
    bank = torch.einsum("oif,fstyx->osityx", weight, basis)
    return bank.reshape(out * planes_out, channels * planes_in, k, k)
