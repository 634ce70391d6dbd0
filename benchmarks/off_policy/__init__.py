"""What benchmarks/ope.py measures."""
