"""Training on one GPU: all patches in its memory, augmentation there too, and the same networks as `model.densenet`."""
