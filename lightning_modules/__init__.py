"""One file a method; `MultiLabelModule` holds what they share."""

from lightning_modules.activity_specific import ActivitySpecific
from lightning_modules.average_pooling import AveragePooling
from lightning_modules.base import MultiLabelModule
from lightning_modules.schedules import WarmupCosine, WarmupSteps

__all__ = ["ActivitySpecific", "AveragePooling", "MultiLabelModule", "WarmupCosine", "WarmupSteps"]
