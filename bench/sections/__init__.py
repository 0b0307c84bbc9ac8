"""The sections of the benchmark, one file each: `measure(quick)` returns a `Section`."""
