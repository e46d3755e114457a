"""Services around a job: logging, stop signals, checkpoints, GPU claims, memory."""
