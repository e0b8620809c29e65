"""Scores over whole videos, exact on any number of processes, without Lightning.

Letters as in `clips`: **B** videos in a batch, **V** views of one video, **K** labels; here **n** is the number of
videos of a split. `preds` are probabilities, `logits` raw scores, `labels` multi-hot truth, `index` the place of a
video in its split. A row of -inf stands for a video that could not be read: it ranks below all others.
"""

from metrics.average_precision import Absent, Unlabelled, average_precision, mean_average_precision
from metrics.ensemble import RateRow, Reduction, rate_subsets, rate_table, reduce_views, view_weights
from metrics.score_file import ScoreFile, load_scores, save_scores
from metrics.top_k import top_k_accuracy
from metrics.video_map import VideoMeanAveragePrecision, VideoTopK
from metrics.video_scores import VideoScores

__all__ = [
    "Absent",
    "RateRow",
    "Reduction",
    "ScoreFile",
    "Unlabelled",
    "VideoMeanAveragePrecision",
    "VideoScores",
    "VideoTopK",
    "average_precision",
    "load_scores",
    "mean_average_precision",
    "rate_subsets",
    "rate_table",
    "reduce_views",
    "save_scores",
    "top_k_accuracy",
    "view_weights",
]
