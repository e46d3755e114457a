"""Detection of out-of-memory errors, and release of memory before a retry."""

import gc

import torch

MESSAGES = ("not enough memory", "DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Parts of the messages of torch's RuntimeError when an allocation fails."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a GPU or the CPU ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in MESSAGES)


def release_memory() -> None:
    """Free the memory of a failed attempt; call it after the ``except`` block, which still references the tensors."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
