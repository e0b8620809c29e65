"""Backbones and heads as plain modules, without Lightning.

A backbone takes float clips `(B, C, T, H, W)` to features `(B, D, T', H', W')`; a head takes those features to logits
`(B, K)`, or to a tuple of them. The letters are those of `clips/__init__.py`. timm and torchvision are imported by the
constructors that need them, so importing this room costs no more than torch.
"""

from networks.activity_specific import ActivitySpecificHead
from networks.attention import DecoupledAttention, NonLocalBlock, TemporalSelfAttention
from networks.average_pooling import AveragePoolingHead
from networks.backbone import Backbone
from networks.c3d import C3D
from networks.csn import CSN
from networks.inflated import InflatedTimm
from networks.r2plus1d import R2Plus1D
from networks.resnet3d import ResNet3D
from networks.slowfast import SlowFast
from networks.small_resnet3d import SmallResNet3D
from networks.timm_frames import TimmFrames
from networks.torchvision3d import Torchvision3D
from networks.video_transformer import VideoTransformer
from networks.x3d import X3D

__all__ = [
    "C3D",
    "CSN",
    "X3D",
    "ActivitySpecificHead",
    "AveragePoolingHead",
    "Backbone",
    "DecoupledAttention",
    "InflatedTimm",
    "NonLocalBlock",
    "R2Plus1D",
    "ResNet3D",
    "SlowFast",
    "SmallResNet3D",
    "TemporalSelfAttention",
    "TimmFrames",
    "Torchvision3D",
    "VideoTransformer",
]
