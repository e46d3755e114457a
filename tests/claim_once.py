"""One job of the tests of claims: claims a GPU, says when it had it, holds it for a while."""

import logging
import multiprocessing
import os
import sys
import time

from gendist.gpus.claims import claim_gpu


def main(seconds: float, forked: float) -> None:
    """Hold a device for ``seconds``; before that, fork a child that lives for ``forked`` seconds."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    asked = time.monotonic()
    gpu = claim_gpu()
    began = time.monotonic()
    print(gpu.name if gpu else "-", os.environ.get("CUDA_VISIBLE_DEVICES") or "-", asked, began, end=" ", flush=True)
    if forked:
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(forked,))
        child.start()
        print(child.pid, flush=True)
    time.sleep(seconds)
    print(time.monotonic(), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0)
