"""What has been proposed to measure how hard a sample is: statistics of a view, reductions over views, a row each."""

from hardsight.measures.catalogue import MEASURES as MEASURES
from hardsight.measures.catalogue import describe_measures as describe_measures
from hardsight.measures.catalogue import unknown_measure as unknown_measure
from hardsight.measures.gradients import gradient_norms as gradient_norms
from hardsight.measures.gradients import input_gradients as input_gradients
from hardsight.measures.measure import Measure as Measure
from hardsight.measures.neighbourhood import centroid_distance as centroid_distance
from hardsight.measures.neighbourhood import knn_disagreement as knn_disagreement
from hardsight.measures.neighbourhood import prototype_distance as prototype_distance
