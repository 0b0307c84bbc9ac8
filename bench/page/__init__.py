"""How results are written: tables, stored ratios, the growth figure."""
