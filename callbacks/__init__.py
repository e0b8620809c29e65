"""One file a callback; what a run writes, shows and freezes."""

from callbacks.broken_videos import BrokenVideos
from callbacks.channels_last import ChannelsLast
from callbacks.checkpoint_io import AtomicCheckpointIO
from callbacks.ensemble_table import evaluate
from callbacks.fault_advice import FaultAdvice
from callbacks.freeze_stages import FreezeStages
from callbacks.log_config import LogConfig
from callbacks.mid_epoch_checkpoint import MidEpochCheckpoint
from callbacks.multi_rate_ensemble import MultiRateEnsemble
from callbacks.non_finite_guard import NonFiniteGuard
from callbacks.progress import RateProgressBar
from callbacks.speed_invariant_tuning import SpeedInvariantTuning
from callbacks.write_predictions import WritePredictions

__all__ = [
    "AtomicCheckpointIO",
    "BrokenVideos",
    "ChannelsLast",
    "FaultAdvice",
    "FreezeStages",
    "LogConfig",
    "MidEpochCheckpoint",
    "MultiRateEnsemble",
    "NonFiniteGuard",
    "RateProgressBar",
    "SpeedInvariantTuning",
    "WritePredictions",
    "evaluate",
]
