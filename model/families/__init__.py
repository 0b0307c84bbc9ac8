"""What a network is made of: the families of equivariant layers."""
