"""`distrib.testing`: checks of models, data that is easily learnt, and replicas in one process, for tests of users.

from distrib.testing import check_model, easy_classification

def test_my_model():
    x, y = easy_classification()
    check_model(make_model, x, y)
"""

from distrib.testing.check_model import check_model
from distrib.testing.easy_data import easy_classification, easy_images, easy_regression
from distrib.testing.replicas import run_on_replicas, run_on_workers
from distrib.testing.report import Report, Result

__all__ = [
    "Report",
    "Result",
    "check_model",
    "easy_classification",
    "easy_images",
    "easy_regression",
    "run_on_replicas",
    "run_on_workers",
]
