"""The public names, each in one line: type checkers and editors read this file, and ``__init__.py`` imports from it."""

from pathlib import Path

from hardsight import theory as theory
from hardsight import weights as weights
from hardsight.copies.leaks import leaks as leaks
from hardsight.data import Encoder as Encoder
from hardsight.data import Samples as Samples
from hardsight.data import read as read
from hardsight.data.annotations import Annotations as Annotations
from hardsight.data.tokens.sentences import Tokens as Tokens
from hardsight.difficulty.annotation_result import AnnotationResult as AnnotationResult
from hardsight.difficulty.result import Difficulty as Difficulty
from hardsight.errors import HardsightError as HardsightError
from hardsight.errors import HardsightWarning as HardsightWarning
from hardsight.errors import InputError as InputError
from hardsight.errors import LearnerError as LearnerError
from hardsight.estimation.annotations import measure_annotations as measure_annotations
from hardsight.estimation.losses import measure_losses as measure_losses
from hardsight.estimation.measure import measure as measure
from hardsight.estimation.predictions import measure_predictions as measure_predictions
from hardsight.estimation.preferences import measure_preferences as measure_preferences
from hardsight.estimation.request import Estimate as Estimate
from hardsight.estimation.request import Execution as Execution
from hardsight.explanation import Explanation as Explanation
from hardsight.explanation import explain as explain
from hardsight.integrations import boosting as boosting
from hardsight.integrations import labelling as labelling
from hardsight.integrations import sklearn as sklearn
from hardsight.integrations import skorch as skorch
from hardsight.learners import LEARNERS as LEARNERS
from hardsight.learners import ForestOOB as ForestOOB
from hardsight.learners import HuggingFace as HuggingFace
from hardsight.learners import LightningModel as LightningModel
from hardsight.learners import Logistic as Logistic
from hardsight.learners import Loop as Loop
from hardsight.learners import Network as Network
from hardsight.learners import Ridge as Ridge
from hardsight.learners import SklearnModel as SklearnModel
from hardsight.measures.catalogue import MEASURES as MEASURES
from hardsight.measures.record import Record as Record
from hardsight.reporting import plot as plot
from hardsight.resampling.splitters import KFold as KFold
from hardsight.resampling.splitters import LeaveOneOut as LeaveOneOut
from hardsight.resampling.splitters import Subsets as Subsets
from hardsight.weights import SCHEMES as SCHEMES
from hardsight.weights import conservative_dpo_loss as conservative_dpo_loss
from hardsight.weights import correct_priors as correct_priors
from hardsight.weights import robust_dpo_loss as robust_dpo_loss
from hardsight.weights import weigh as weigh
from hardsight.weights.training import WeightedSampler as WeightedSampler
from hardsight.weights.training import Weighting as Weighting
from hardsight.weights.training import collate as collate
from hardsight.weights.training import indexed as indexed

__version__: str
__all__: list[str]

def load(path: str | Path) -> Difficulty: ...
