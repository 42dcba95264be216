"""Learning in the child of a process that has learnt before."""

import os

import torch


def _one_thread() -> None:
    """Let torch work in one thread: those that the parent had are not copied, and waiting for them takes for ever."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread)
