"""The grid of cells, planes of values over it, and the regions drawn from them."""
