"""What has been proposed to measure how hard a sample is: statistics of a view, reductions over views, a row each."""

from hardsight.measures.core import Measure as Measure
from hardsight.measures.gradients import gradient_norms as gradient_norms
from hardsight.measures.gradients import input_gradients as input_gradients
from hardsight.measures.neighbourhood import centroid_distance as centroid_distance
from hardsight.measures.neighbourhood import knn_disagreement as knn_disagreement
from hardsight.measures.neighbourhood import prototype_distance as prototype_distance
from hardsight.measures.table import MEASURES as MEASURES
from hardsight.measures.table import described as described
from hardsight.measures.table import near as near
