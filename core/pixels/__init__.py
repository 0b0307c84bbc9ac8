"""From a slide's pixels to the network frame: geometry, resampling, sampling, tissue, native tiles."""
