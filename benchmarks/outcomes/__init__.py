"""What the benchmarks on real outcomes share: the tables, the peers, and the finished runs that are kept."""
