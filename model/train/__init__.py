"""Training on PatchCamelyon: data, augmentation, recipe, loop, figures, and the fitting of familiarity."""
