"""Networks: the dense classifier, its eight views, the autoencoder, and the registry of their names."""
