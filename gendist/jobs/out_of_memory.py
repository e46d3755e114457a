"""Running out of memory: recognised whichever library says so."""

import gc

import torch

MESSAGES = ("not enough memory", "DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch's RuntimeErrors say when an allocation failed."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that there was too little memory, on a GPU or a CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in MESSAGES)


def release_memory() -> None:
    """Give back what a failed attempt held; to be called outside its ``except``, which still refers to it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
