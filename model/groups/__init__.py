"""The groups p4 and p4m, filter banks, and the layers that use them."""
