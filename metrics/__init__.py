"""Scores over whole videos, exact on any number of processes, without Lightning.

Letters as in `clips`: **B** videos in a batch, **V** views of one video, **K** labels; here **n** is the number of
videos of a split. `preds` are probabilities, `logits` raw scores, `labels` multi-hot truth, `index` the place of a
video in its split. A row of -inf stands for a video that could not be read: it ranks below all others.
"""

from metrics.accuracy import (
    VideoMeanLabelAccuracy,
    VideoMeanTopError,
    label_accuracy,
    mean_label_accuracy,
    mean_top_error,
)
from metrics.action_conditional import ActionConditional, ActionConditionalMetric, action_conditional
from metrics.activitynet import Scored, VideoHitAtK, classification
from metrics.average_precision import (
    VARIANTS,
    Absent,
    Unlabelled,
    Variant,
    average_precision,
    mean_average_precision,
    mean_over_labels,
    video_rankings,
    weighted_average_precision,
)
from metrics.blocks import Block, BlockMetric
from metrics.bootstrap import Interval, bootstrap
from metrics.detection import Segments, detection_average_precision, detection_rankings
from metrics.detection_map import BoxMeanAveragePrecision, DetectionMeanAveragePrecision, ProposalArea
from metrics.ensemble import RateRow, Reduction, rate_subsets, rate_table, reduce_views, view_weights
from metrics.frame_detection import box_average_precision, box_rankings
from metrics.frame_map import FrameMeanAveragePrecision, frame_average_precision, frame_rankings
from metrics.label_groups import group_means, label_groups
from metrics.localization import LocalizationMeanAveragePrecision, localization_instants, localization_labels
from metrics.multilabel import MultilabelSuite, multilabel_suite
from metrics.proposals import ProposalRecall, proposal_recall
from metrics.ranking import Ranking, areas, mean_precision
from metrics.score_file import ScoreFile, load_scores, save_scores
from metrics.step_labels import Boundary, step_instants, step_labels
from metrics.top_k import top_k_accuracy
from metrics.video_map import VideoMeanAveragePrecision, VideoTopK
from metrics.video_mean import VideoMean
from metrics.video_scores import VideoScores

__all__ = [
    "VARIANTS",
    "Absent",
    "ActionConditional",
    "ActionConditionalMetric",
    "Block",
    "BlockMetric",
    "Boundary",
    "BoxMeanAveragePrecision",
    "DetectionMeanAveragePrecision",
    "FrameMeanAveragePrecision",
    "Interval",
    "LocalizationMeanAveragePrecision",
    "MultilabelSuite",
    "ProposalArea",
    "ProposalRecall",
    "Ranking",
    "RateRow",
    "Reduction",
    "ScoreFile",
    "Scored",
    "Segments",
    "Unlabelled",
    "Variant",
    "VideoHitAtK",
    "VideoMean",
    "VideoMeanAveragePrecision",
    "VideoMeanLabelAccuracy",
    "VideoMeanTopError",
    "VideoScores",
    "VideoTopK",
    "action_conditional",
    "areas",
    "average_precision",
    "bootstrap",
    "box_average_precision",
    "box_rankings",
    "classification",
    "detection_average_precision",
    "detection_rankings",
    "frame_average_precision",
    "frame_rankings",
    "group_means",
    "label_accuracy",
    "label_groups",
    "load_scores",
    "localization_instants",
    "localization_labels",
    "mean_average_precision",
    "mean_label_accuracy",
    "mean_over_labels",
    "mean_precision",
    "mean_top_error",
    "multilabel_suite",
    "proposal_recall",
    "rate_subsets",
    "rate_table",
    "reduce_views",
    "save_scores",
    "step_instants",
    "step_labels",
    "top_k_accuracy",
    "video_rankings",
    "view_weights",
    "weighted_average_precision",
]
