"""Training on a GPU: all patches and all arithmetic are on the device, and minutes are shared among many runs."""
