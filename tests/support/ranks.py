"""Processes that train together."""

import os
import socket


def find_free_port():
    """Return a port on which the processes can meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def announce_rank(rank, ranks, port):
    """Set the environment variables by which libraries find the other processes."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    # By the last one Lightning sees that the processes exist already.
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
