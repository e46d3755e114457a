"""For maintainers, not installed with the package: benchmarks, training of the pocket models, generated docs."""
