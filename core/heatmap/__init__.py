"""The grid of cells, the planes of values over it, the regions drawn from them."""
