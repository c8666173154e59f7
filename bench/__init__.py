"""The benchmarks: `make bench`. Figures are ratios within one run, because machines differ."""
