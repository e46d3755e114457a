"""What a pool of generated rows is like, measured beside real rows."""
