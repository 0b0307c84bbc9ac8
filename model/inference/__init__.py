"""Inference: the frozen network, engines that compute it, dense maps of regions, pixels on their way to a GPU."""
