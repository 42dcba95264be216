"""What the given tags of neighbouring tokens say of a tag, as further evidence of which tags are wrong.

The models of a run see the words alone, because a held-out error must not read tags of its own sentence. Whether a tag is
wrong shows in its neighbours' tags, too: a verb rarely follows an article. So one more round of models reads the words and
the given tags up to two tokens away, and its held-out predictions are a witness of the label model
(:class:`hardsight.attribution.label_noise.Evidence`). The errors stay those of the run.

That holds for tags of single words, such as parts of speech. Errors of spans spoil neighbouring tags together: of a name of
the wrong type, each tag speaks for the others. There the witness does harm (``benchmarks/tokens.py``), and is left out.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from hardsight.data import Samples
from hardsight.data.tokens.sentences import spells_spans
from hardsight.data.tokens.window import shift_rows
from hardsight.estimation.job import Job
from hardsight.estimation.runner import Runner
from hardsight.estimation.training_length import make_pilot_plan, predict_once
from hardsight.io.progress import progress_bar
from hardsight.learners.registry import is_auto

# Weights of the tags one and two tokens away, against the token's own word.
_NEAR, _FAR = 1.0, 0.5
_SEED_KEY = 7


def add_tag_witness(job: Job, runner: Runner) -> Job:
    """Return the job with a witness that reads neighbouring tags, if its samples are tokens with the default features.

    Raises:
        HardsightError: as in the run.
    """
    samples, request = job.samples, job.request
    ledger = request.estimate.ledger is not False and job.loss == "log"
    is_token = samples.parts is not None and samples.parts.kind == "token" and samples.classes is not None
    by_default = samples.sparse and is_auto(request.learner) and not request.budget.limited
    if spells_spans(samples) or not (ledger and is_token and by_default):
        return job
    plan = make_pilot_plan(samples, job.plan.blocks, request.seed + _SEED_KEY)
    with progress_bar(request.progress, None, "reading neighbouring tags") as on_progress:
        log_prob = predict_once(replace(runner, samples=with_neighbouring_tags(samples)), plan, on_progress)
    return replace(job, witnesses=(*job.witnesses, log_prob))


def with_neighbouring_tags(samples: Samples) -> Samples:
    """Return tokens whose features also tell the given tags of up to two tokens on each side, never their own."""
    from scipy import sparse

    assert samples.parts is not None
    assert samples.classes is not None
    n, classes = len(samples), len(samples.classes)
    sentence = pd.factorize(samples.parts.sample)[0]
    tags = sparse.csr_array((np.ones(n, np.float32), (np.arange(n), samples.labels)), shape=(n, classes))
    blocks = [samples.features]
    for offset, weight in ((-1, _NEAR), (1, _NEAR), (-2, _FAR), (2, _FAR)):
        blocks.append(shift_rows(tags, sentence, offset) * np.float32(weight))
    features = sparse.csr_array(sparse.hstack(blocks, format="csr"), dtype=np.float32)
    features.indices, features.indptr = features.indices.astype(np.int32), features.indptr.astype(np.int32)
    return replace(samples, features=features)
