"""What surrounds a job: logging, signals, checkpoints, claims of GPUs, running out of memory."""
