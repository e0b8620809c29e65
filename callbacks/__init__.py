"""One file a callback; what a run writes, shows and freezes."""

from callbacks.broken_videos import BrokenVideos
from callbacks.channels_last import ChannelsLast
from callbacks.ensemble_table import evaluate
from callbacks.freeze_stages import FreezeStages
from callbacks.log_config import LogConfig
from callbacks.multi_rate_ensemble import MultiRateEnsemble
from callbacks.progress import RateProgressBar
from callbacks.speed_invariant_tuning import SpeedInvariantTuning
from callbacks.write_predictions import WritePredictions

__all__ = [
    "BrokenVideos",
    "ChannelsLast",
    "FreezeStages",
    "LogConfig",
    "MultiRateEnsemble",
    "RateProgressBar",
    "SpeedInvariantTuning",
    "WritePredictions",
    "evaluate",
]
