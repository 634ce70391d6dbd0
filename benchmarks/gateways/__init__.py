"""What the benchmarks of the gateway share: a mock upstream that is no bottleneck, a load generator, and processes."""
