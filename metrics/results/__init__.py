"""Result files as other systems publish them: read whole, checked line by line, nothing skipped."""

from metrics.results.score_lines import read_frame_scores, read_video_scores
from metrics.results.segments import ResultSegments, read_segment_json, read_segment_lines
from metrics.results.step_scores import StepScores, read_step_scores
from metrics.results.text import ResultScores

__all__ = [
    "ResultScores",
    "ResultSegments",
    "StepScores",
    "read_frame_scores",
    "read_segment_json",
    "read_segment_lines",
    "read_step_scores",
    "read_video_scores",
]
