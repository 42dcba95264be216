"""Position of a sample among the others: numbers per sample from features and labels, without training."""

import warnings

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor


def knn_disagreement(
    features: Float[Tensor, "sample feature"], labels: Int64[Tensor, " sample"], k: int = 5
) -> Float64[Tensor, " sample"]:
    """Return the share of the ``k`` nearest other samples (Euclidean) with another label; of all others if there are fewer.

    NaN if there is only one sample.

    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> knn_disagreement(x, torch.tensor([0, 1, 1]), k=1).tolist()
    [1.0, 1.0, 0.0]
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(labels) - 1)
    if k < 1:
        return torch.full((len(labels),), torch.nan, dtype=torch.float64)
    nearest = NearestNeighbors(n_neighbors=k).fit(features.numpy()).kneighbors(return_distance=False)
    return (labels[torch.from_numpy(nearest)] != labels[:, None]).double().mean(1)


def centroid_distance(
    features: Float[Tensor, "sample feature"], labels: Int64[Tensor, " sample"]
) -> Float64[Tensor, " sample"]:
    """Return the Euclidean distance to the mean of the samples with the same label, including the sample itself.

    >>> x = torch.tensor([[0.0, 0.0], [6.0, 8.0], [1.0, 1.0]])
    >>> centroid_distance(x, torch.tensor([0, 0, 1])).tolist()
    [5.0, 5.0, 0.0]
    """
    classes, group = torch.unique(labels, return_inverse=True)
    points = features.double()
    total = torch.zeros(len(classes), points.shape[1], dtype=torch.float64).index_add_(0, group, points)
    centre: Tensor = total / group.bincount(minlength=len(classes))[:, None]
    distance: Tensor = torch.linalg.vector_norm(points - centre[group], dim=1)
    return distance


def prototype_distance(
    features: Float[Tensor, "sample feature"], clusters: int, seed: int = 0
) -> Float64[Tensor, " sample"]:
    """Return the cosine distance to the centre of the sample's k-means cluster.

    Args:
        features: one row per sample; the start of k-means depends on their order.
        clusters: number of clusters; as many as samples if there are fewer.
        seed: seed of the start of k-means.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    points = features.double().numpy()
    with warnings.catch_warnings():
        # Equal samples can leave fewer clusters than requested, which is no fault.
        warnings.simplefilter("ignore", ConvergenceWarning)
        clustering = KMeans(min(clusters, len(points)), n_init=1, random_state=seed).fit(points)
    centre = clustering.cluster_centers_[clustering.labels_]
    norms = np.linalg.norm(points, axis=1) * np.linalg.norm(centre, axis=1)
    cosine = np.divide((points * centre).sum(1), norms, out=np.zeros(len(points)), where=norms > 0)
    return torch.from_numpy(1 - cosine)
