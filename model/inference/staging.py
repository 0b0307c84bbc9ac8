"""A region's pixels on their way to where they are computed: to a GPU they cross while the region before is worked on.

The thread that reads calls `send`: the bytes go into one of a few page-locked buffers, and from there to the card on a
stream of their own. The thread that computes calls `receive`: its stream waits for the copy, the thread does not. Where
a CPU computes, regions are there already.
"""

from dataclasses import dataclass

import numpy as np
import torch

from model.inference.dense import Pixels


@dataclass(frozen=True)
class InFlight:
    """`there`: (H, W, 3) uint8 on the device, whole when `copied` has happened."""

    there: torch.Tensor
    copied: torch.cuda.Event


@dataclass
class _Buffer:
    """Page-locked bytes, and the end of the last copy out of them."""

    bytes: torch.Tensor
    copied: torch.cuda.Event

    def holding(self, pixels: Pixels) -> torch.Tensor:
        """The pixels in here, once nobody reads what was here before."""
        self.copied.synchronize()
        if len(self.bytes) < pixels.size:
            self.bytes = torch.empty(pixels.size, dtype=torch.uint8, pin_memory=True)
        return self.bytes[: pixels.size].view(pixels.shape).copy_(torch.from_numpy(np.ascontiguousarray(pixels)))


class Staging:
    """One way to a device. `buffers`: how many regions may be on their way at once."""

    def __init__(self, device: torch.device, buffers: int = 2) -> None:
        self._device, self._number = device, 0
        self._on_gpu = device.type == "cuda"
        if self._on_gpu:
            self._copies = torch.cuda.Stream(device)
            nothing = torch.empty(0, dtype=torch.uint8)
            self._buffers = [_Buffer(nothing, torch.cuda.Event()) for _ in range(buffers)]

    def send(self, pixels: Pixels) -> Pixels | InFlight:
        """(H, W, 3) uint8. By one thread at a time; waits only while every buffer is being copied out of."""
        if not self._on_gpu:
            return pixels
        buffer = self._buffers[self._number % len(self._buffers)]
        self._number += 1
        held = buffer.holding(pixels)
        with torch.cuda.stream(self._copies):
            there = held.to(self._device, non_blocking=True)
            buffer.copied = torch.cuda.Event()
            buffer.copied.record(self._copies)
        return InFlight(there, buffer.copied)

    def receive(self, sent: Pixels | InFlight) -> Pixels | torch.Tensor:
        """(1, H, W, 3), for whatever is computed next in this thread's stream."""
        if not isinstance(sent, InFlight):
            return sent[None]
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(sent.copied)
        sent.there.record_stream(computing)  # its memory is not given away while that stream may read it
        return sent.there[None]
