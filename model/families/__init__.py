"""Families of equivariant layers: plain, group, harmonic and steerable convolution. `family` lists them."""
