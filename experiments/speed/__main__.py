"""Benchmark of speed: python -m experiments.speed."""

from experiments.speed.benchmark import main

if __name__ == "__main__":
    main()
