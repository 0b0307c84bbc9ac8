"""Copies regions to the device that computes, each while the region before it is computed.

The thread that reads calls `send`: the bytes go into one of a few page-locked buffers and from there to the GPU on a
CUDA stream of their own. The thread that computes calls `receive`: its stream waits for the copy, the thread does not.
On a CPU both return the pixels as they are.
"""

from dataclasses import dataclass

import numpy as np
import torch

from model.inference.dense import Pixels


@dataclass(frozen=True)
class InFlight:
    """A region being copied: `pixels`, (H, W, 3) uint8 on the device, are complete once `copied` has happened."""

    pixels: torch.Tensor
    copied: torch.cuda.Event


@dataclass
class _Buffer:
    """Page-locked bytes, and the end of the last copy out of them.

    Only page-locked memory can be copied to a GPU while the CPU goes on; locking it is slow, so buffers are reused.
    """

    bytes: torch.Tensor
    copied: torch.cuda.Event

    def fill(self, pixels: Pixels) -> torch.Tensor:
        """Copies pixels into the buffer after its last content has left it; (H, W, 3) uint8, page-locked."""
        self.copied.synchronize()  # the copy before may still read these bytes
        if len(self.bytes) < pixels.size:
            self.bytes = torch.empty(pixels.size, dtype=torch.uint8, pin_memory=True)
        return self.bytes[: pixels.size].view(pixels.shape).copy_(torch.from_numpy(np.ascontiguousarray(pixels)))


class Staging:
    """The way to one device. `buffers`: how many regions may be in flight at once."""

    def __init__(self, device: torch.device, buffers: int = 2) -> None:
        self._device, self._number = device, 0
        self._on_gpu = device.type == "cuda"
        if self._on_gpu:
            self._copies = torch.cuda.Stream(device)
            empty = torch.empty(0, dtype=torch.uint8)
            self._buffers = [_Buffer(empty, torch.cuda.Event()) for _ in range(buffers)]

    def send(self, pixels: Pixels) -> Pixels | InFlight:
        """Starts the copy of a region, (H, W, 3) uint8, and returns at once.

        One thread calls it. It waits only while every buffer is still being copied.
        """
        if not self._on_gpu:
            return pixels
        buffer = self._buffers[self._number % len(self._buffers)]
        self._number += 1
        locked = buffer.fill(pixels)
        with torch.cuda.stream(self._copies):
            on_device = locked.to(self._device, non_blocking=True)
            # A new event for each copy: the earlier one may still be waited for by `receive`.
            buffer.copied = torch.cuda.Event()
            buffer.copied.record(self._copies)
        return InFlight(on_device, buffer.copied)

    def receive(self, region: Pixels | InFlight) -> Pixels | torch.Tensor:
        """The region as a batch, (1, H, W, 3) uint8, for what this thread's CUDA stream computes next."""
        if not isinstance(region, InFlight):
            return region[None]
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(region.copied)
        # The memory belongs to the copying stream: without this the allocator could reuse it while `computing` reads.
        region.pixels.record_stream(computing)
        return region.pixels[None]
