"""What a user's own training loop saw of every sample: one line a batch, by id."""

from hardsight.record.core import Record as Record
