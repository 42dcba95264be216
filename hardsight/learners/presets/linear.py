"""Linear models by name."""

from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hardsight.data import Samples
from hardsight.learners.base import Learner
from hardsight.learners.linear.logistic import Logistic
from hardsight.learners.linear.ridge import Ridge
from hardsight.learners.presets import preset
from hardsight.learners.sklearn import SklearnModel


@preset(
    "logistic",
    "logistic regression on scaled features, all members at once, to convergence (ridge in regression)",
    takes_weights=True,
)
def logistic(samples: Samples) -> Learner:
    """Return :class:`Logistic`; scikit-learn's logistic regression for weighted samples, its ridge for regression."""
    scaler = make_pipeline(SimpleImputer(), StandardScaler())
    if samples.regression:
        return SklearnModel(make_pipeline(scaler, SklearnRidge()), name="linear", numbers=True)
    # Logistic fits members together with one shared Hessian; weights would give each member its own.
    if samples.weights is not None:
        return SklearnModel(make_pipeline(scaler, LogisticRegression(max_iter=1000)), name="logistic", numbers=True)
    return Logistic()


@preset("ridge", "linear least squares with held-out predictions in closed form, exact leave-one-out", takes_weights=True)
def ridge(samples: Samples) -> Learner:
    """Return :class:`Ridge`."""
    return Ridge()
