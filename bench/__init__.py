"""The benchmarks: `make bench`. Figures are ratios within one run, for machines differ."""
