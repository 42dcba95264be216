"""Train in the child of a forked process that has trained before."""

import os

import torch


def _use_one_thread() -> None:
    """Limit torch to one thread: the parent's threads do not exist in the child, and waiting for them never ends."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)
