"""The GPUs of this machine, and one of them for each job. PyTorch is not loaded here: claims come before CUDA."""
