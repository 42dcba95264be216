"""Copies: samples that stand in the data more than once, exactly or nearly."""
