"""The symmetry groups p4 and p4m and what acts on the group: filter banks, convolutions, batch norm, pooling."""
