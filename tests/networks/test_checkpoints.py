"""Checkpoints of other code bases: every tensor finds its place, and bad files are refused without running them."""

import hashlib
import logging
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from networks.checkpoints import LAYOUTS, convert, load_checkpoint
from networks.r2plus1d import R2Plus1D
from networks.residual3d import Bottleneck, ConvNorm, Stage

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Tiny(nn.Module):
    """A stem and one block, under the names that all networks here share; numbers differ from one to the next."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        one = (1, 1, 1)
        self.stem = ConvNorm(3, width, one)
        block = Bottleneck(
            ConvNorm(width, width, one),
            ConvNorm(width, width, (1, 3, 3)),
            ConvNorm(width, 4 * width, one, activation=None),
            ConvNorm(width, 4 * width, one, activation=None),
        )
        self.stages = nn.ModuleList([Stage([block])])
        for tensor in self.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)


# public names of the convolutions and batch norms of Tiny, in its order, and of a classifier
CONVS = ("stem", "stages.0.0.a", "stages.0.0.b", "stages.0.0.c", "stages.0.0.shortcut")
NAMES: dict[str, tuple[Sequence[str], Sequence[str], str]] = {
    "vmz": (
        ("stem.0", "layer1.0.conv1.0", "layer1.0.conv2.0", "layer1.0.conv3.0", "layer1.0.downsample.0"),
        ("stem.1", "layer1.0.conv1.1", "layer1.0.conv2.1", "layer1.0.conv3.1", "layer1.0.downsample.1"),
        "fc",
    ),
    "mmaction2": (
        (
            "backbone.conv1.conv",
            "backbone.layer1.0.conv1.conv",
            "backbone.layer1.0.conv2.conv",
            "backbone.layer1.0.conv3.conv",
            "backbone.layer1.0.downsample.conv",
        ),
        (
            "backbone.conv1.bn",
            "backbone.layer1.0.conv1.bn",
            "backbone.layer1.0.conv2.bn",
            "backbone.layer1.0.conv3.bn",
            "backbone.layer1.0.downsample.bn",
        ),
        "cls_head.fc_cls",
    ),
    "pyslowfast": (
        (
            "s1.pathway0_stem.conv",
            "s2.pathway0_res0.branch2.a",
            "s2.pathway0_res0.branch2.b",
            "s2.pathway0_res0.branch2.c",
            "s2.pathway0_res0.branch1",
        ),
        (
            "s1.pathway0_stem.bn",
            "s2.pathway0_res0.branch2.a_bn",
            "s2.pathway0_res0.branch2.b_bn",
            "s2.pathway0_res0.branch2.c_bn",
            "s2.pathway0_res0.branch1_bn",
        ),
        "head.projection",
    ),
    "pytorchvideo": (
        (
            "blocks.0.conv",
            "blocks.1.res_blocks.0.branch2.conv_a",
            "blocks.1.res_blocks.0.branch2.conv_b",
            "blocks.1.res_blocks.0.branch2.conv_c",
            "blocks.1.res_blocks.0.branch1_conv",
        ),
        (
            "blocks.0.norm",
            "blocks.1.res_blocks.0.branch2.norm_a",
            "blocks.1.res_blocks.0.branch2.norm_b",
            "blocks.1.res_blocks.0.branch2.norm_c",
            "blocks.1.res_blocks.0.branch1_norm",
        ),
        "blocks.2.proj",
    ),
}
HOLDERS = {"vmz": None, "mmaction2": "state_dict", "pyslowfast": "model_state", "pytorchvideo": "model_state"}
BLOBS = ("conv1", "res2_0_branch2a", "res2_0_branch2b", "res2_0_branch2c", "res2_0_branch1")
NORM_BLOBS = ("res_conv1_bn", *(f"{name}_bn" for name in BLOBS[1:]))


def public_state(network: nn.Module, layout: str) -> dict[str, Tensor]:
    """State dict of Tiny under public names, and a classifier of 5 labels."""
    own = network.state_dict()
    convs, norms, classifier = NAMES[layout]
    state = {f"{name}.weight": own[f"{place}.conv.weight"] for name, place in zip(convs, CONVS, strict=True)}
    for name, place in zip(norms, CONVS, strict=True):
        state |= {f"{name}.{leaf}": own[f"{place}.norm.{leaf}"] for leaf in NORM}
    return state | {f"{classifier}.weight": torch.ones(5, 8), f"{classifier}.bias": torch.ones(5)}


def blobs(network: nn.Module) -> dict[str, np.ndarray]:
    """Blobs of Tiny as caffe2 has them."""
    own = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    found = {f"{name}_w": own[f"{place}.conv.weight"] for name, place in zip(BLOBS, CONVS, strict=True)}
    for name, place in zip(NORM_BLOBS, CONVS, strict=True):
        leaves = zip(("s", "b", "rm", "riv"), NORM, strict=False)
        found |= {f"{name}_{short}": own[f"{place}.norm.{leaf}"] for short, leaf in leaves}
    return found | {"pred_w": np.ones((5, 8)), "pred_b": np.ones(5)}


def assert_equal(network: nn.Module, other: nn.Module) -> None:
    wanted = other.state_dict()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("layout", NAMES)
def test_checkpoint_of_each_layout_is_found_and_loaded(
    layout: str, parallel: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original, network, path = Tiny(), Tiny(), tmp_path / "file.pth"
    state = {("module." if parallel else "") + name: tensor for name, tensor in public_state(original, layout).items()}
    more = {"epoch": 3, "cfg": "TRAIN:\n", "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.1}]}}
    holder = HOLDERS[layout]
    torch.save(state if holder is None else {**more, holder: OrderedDict(state)}, path)
    with caplog.at_level(logging.INFO, logger="networks.checkpoints"):
        loaded = load_checkpoint(network, path)
    assert_equal(network, original)
    classifier = NAMES[layout][2]
    assert (loaded.file, loaded.layout, loaded.num_tensors) == (path, layout, 30)
    assert loaded.left_out == (f"{classifier}.weight", f"{classifier}.bias")
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for part in (str(path), layout, loaded.sha256, f"left out {classifier}.weight, {classifier}.bias"):
        assert part in caplog.text


def test_files_of_old_torch_and_other_endings_are_read_by_their_content(tmp_path: Path) -> None:
    original, network = Tiny(), Tiny()
    torch.save(public_state(original, "vmz"), tmp_path / "old.pkl", _use_new_zipfile_serialization=False)
    load_checkpoint(network, tmp_path / "old.pkl")
    assert_equal(network, original)


def test_network_takes_a_state_dict_of_its_own(tmp_path: Path) -> None:
    original, network = Tiny(), Tiny()
    torch.save(original.state_dict(), tmp_path / "own.pth")
    assert load_checkpoint(network, tmp_path / "own.pth").layout == "native"
    assert_equal(network, original)


def test_weights_of_a_backbone_alone_lack_its_prefix_in_mmaction2() -> None:
    original = Tiny()
    state = {name.removeprefix("backbone."): t for name, t in public_state(original, "mmaction2").items()}
    state = {name: tensor for name, tensor in state.items() if "cls_head" not in name}
    converted = convert(state, original)
    assert (converted.layout, converted.left_out) == ("mmaction2", ())
    assert all(converted.tensors[name] is not None for name in original.state_dict())


def test_detection_network_of_pytorchvideo_has_a_prefix_and_another_classifier() -> None:
    original, state = Tiny(), {}
    for name, tensor in public_state(original, "pytorchvideo").items():
        state[name.replace("blocks.2.proj", "detection_head.proj") if "proj" in name else f"model.{name}"] = tensor
    converted = convert(state, original)
    assert converted.left_out == ("detection_head.proj.weight", "detection_head.proj.bias")
    assert all(torch.equal(converted.tensors[name], tensor) for name, tensor in original.state_dict().items())


@pytest.mark.parametrize(
    ("layout", "pairs"),
    [
        (
            "vmz",  # ip-CSN
            {
                "layer4.2.conv2.0.0.weight": "stages.3.2.b.0.conv.weight",
                "layer4.2.conv2.0.1.running_var": "stages.3.2.b.0.norm.running_var",
                "layer4.2.conv2.0.2.weight": "stages.3.2.b.1.conv.weight",
                "layer4.2.conv2.1.bias": "stages.3.2.b.1.norm.bias",
            },
        ),
        (
            "mmaction2",  # ip-CSN
            {
                "backbone.layer3.35.conv2.0.conv.weight": "stages.2.35.b.0.conv.weight",
                "backbone.layer3.35.conv2.0.bn.bias": "stages.2.35.b.0.norm.bias",
                "backbone.layer3.35.conv2.1.conv.weight": "stages.2.35.b.1.conv.weight",
                "backbone.layer3.35.conv2.1.bn.bias": "stages.2.35.b.1.norm.bias",
            },
        ),
        (
            "mmaction2",  # ir-CSN
            {
                "backbone.layer3.35.conv2.0.conv.weight": "stages.2.35.b.conv.weight",
                "backbone.layer3.35.conv2.0.bn.bias": "stages.2.35.b.norm.bias",
            },
        ),
        (
            "mmaction2",
            {
                "backbone.slow_path.conv1_lateral.conv.weight": "laterals.0.conv.weight",
                "backbone.slow_path.layer3_lateral.bn.weight": "laterals.3.norm.weight",
                "backbone.fast_path.layer2.3.conv3.bn.weight": "fast.stages.1.3.c.norm.weight",
                "backbone.slow_path.conv1.conv.weight": "slow.stem.conv.weight",
            },
        ),
        (
            "mmaction2",
            {
                "backbone.layer2.1.non_local_block.phi.0.conv.bias": "stages.1.1.non_local.phi.bias",
                "backbone.layer2.1.non_local_block.theta.conv.bias": "stages.1.1.non_local.theta.bias",
                "backbone.layer2.1.non_local_block.conv_out.bn.bias": "stages.1.1.non_local.norm.bias",
            },
        ),
        (
            "mmaction2",  # X3D
            {
                "backbone.conv1_s.conv.weight": "stem.spatial.weight",
                "backbone.conv1_t.conv.weight": "stem.temporal.weight",
                "backbone.conv1_t.bn.weight": "stem.norm.weight",
                "backbone.layer1.0.conv2.bn.weight": "stages.0.0.b.norm.weight",
                "backbone.layer1.0.se_module.fc1.bias": "stages.0.0.b.excite.reduce.bias",
                "backbone.layer1.0.se_module.fc2.bias": "stages.0.0.b.excite.expand.bias",
                "backbone.conv5.conv.weight": "last.conv.weight",
                "backbone.conv5.bn.weight": "last.norm.weight",
            },
        ),
        ("mmaction2", {"backbone.conv3b.conv.bias": "convs.3.bias", "backbone.conv5b.conv.weight": "convs.7.weight"}),
        ("c3d", {"conv1.weight": "convs.0.weight", "conv3a.bias": "convs.2.bias", "conv5b.weight": "convs.7.weight"}),
        (
            "pyslowfast",
            {
                "s1.pathway1_stem.conv.weight": "fast.stem.conv.weight",
                "s5.pathway0_res2.branch2.b_bn.weight": "slow.stages.3.2.b.norm.weight",
                "s4.pathway0_nonlocal6.conv_out.weight": "slow.stages.2.6.non_local.out.weight",
                "s4_fuse.conv_f2s.weight": "laterals.3.conv.weight",
                "s1_fuse.bn.weight": "laterals.0.norm.weight",
            },
        ),
        (
            "pyslowfast",  # X3D
            {
                "s1.pathway0_stem.conv_xy.weight": "stem.spatial.weight",
                "s1.pathway0_stem.conv.weight": "stem.temporal.weight",
                "s2.pathway0_res0.branch2.se.fc1.weight": "stages.0.0.b.excite.reduce.weight",
                "head.conv_5_bn.weight": "last.norm.weight",
            },
        ),
        (
            "pytorchvideo",  # X3D
            {
                "blocks.0.conv.conv_t.weight": "stem.spatial.weight",
                "blocks.0.conv.conv_xy.weight": "stem.temporal.weight",
                "blocks.1.res_blocks.2.branch2.norm_b.0.weight": "stages.0.2.b.norm.weight",
                "blocks.1.res_blocks.2.branch2.norm_b.1.block.2.weight": "stages.0.2.b.excite.expand.weight",
                "blocks.5.pool.pre_norm.weight": "last.norm.weight",
            },
        ),
        (
            "pytorchvideo",  # a pooling block between the stages
            {
                "blocks.1.res_blocks.0.branch2.conv_a.weight": "stages.0.0.a.conv.weight",
                "blocks.3.res_blocks.0.branch1_norm.weight": "stages.1.0.shortcut.norm.weight",
                "blocks.4.res_blocks.0.branch2.conv_c.weight": "stages.2.0.c.conv.weight",
            },
        ),
        (
            "pytorchvideo",
            {
                "blocks.0.multipathway_blocks.1.norm.bias": "fast.stem.norm.bias",
                "blocks.3.multipathway_fusion.conv_fast_to_slow.weight": "laterals.3.conv.weight",
            },
        ),
        (
            "caffe2",
            {
                "t_conv1_w": "fast.stem.conv.weight",
                "res_conv1_bn_riv": "slow.stem.norm.running_var",
                "t_pool1_subsample_w": "laterals.0.conv.weight",
                "t_res4_22_branch2c_bn_subsample_bn_rm": "laterals.3.norm.running_mean",
                "t_res4_22_branch2c_bn_s": "fast.stages.2.22.c.norm.weight",
                "nonlocal_conv4_20_theta_b": "slow.stages.2.20.non_local.theta.bias",
                "nonlocal_conv4_20_bn_s": "slow.stages.2.20.non_local.norm.weight",
            },
        ),
        ("caffe2", {"conv1_w": "stem.conv.weight", "nonlocal_conv3_1_g_w": "stages.1.1.non_local.g.weight"}),
    ],
)
def test_names_of_parts_that_few_networks_have_become_native(layout: str, pairs: dict[str, str]) -> None:
    assert LAYOUTS[layout].rename(list(pairs)) == pairs


def test_torchvision_names_of_separated_convolutions_become_native() -> None:
    from torchvision.models.video import r2plus1d_18

    names = list(r2plus1d_18().state_dict())
    native = [name for name in R2Plus1D(18).state_dict()]
    renamed = LAYOUTS["vmz"].rename(names)
    assert sorted(renamed.values()) == sorted(native)
    assert set(names) - set(renamed) == {"fc.weight", "fc.bias"}


def write_pickle(path: Path, found: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(found, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_caffe2_file_is_read_and_counters_are_kept(protocol: int, tmp_path: Path) -> None:
    original, network = Tiny(), Tiny()
    more = {"conv1_w_momentum": np.ones(1), "lr": np.float32(0.1), "model_iter": np.int64(7)}
    path = write_pickle(tmp_path / "file.pkl", {"blobs": {**blobs(original), **more}, "cfg": "MODEL:\n"}, protocol)
    loaded = load_checkpoint(network, path)
    assert (loaded.layout, loaded.left_out) == ("caffe2", ("pred_w", "pred_b"))
    assert_equal(network, original)


def python2_array(array: np.ndarray) -> bytes:
    """What Python 2 and numpy 1 pickle for a float array: strings of bytes where Python 3 has `_codecs.encode`."""
    data, sizes = array.tobytes(), b"".join(b"K" + bytes([size]) for size in array.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01("
        + sizes
        + b"tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + len(data).to_bytes(4, "little")
        + data
        + b"tb"
    )


def test_caffe2_file_of_python_2_is_read(tmp_path: Path) -> None:
    original, network, path = Tiny(), Tiny(), tmp_path / "file.pkl"
    entries = [b"U" + bytes([len(k)]) + k.encode() + python2_array(v.astype("<f4")) for k, v in blobs(original).items()]
    path.write_bytes(b"\x80\x02}U\x05blobs}(" + b"".join(entries) + b"us.")
    load_checkpoint(network, path)
    assert_equal(network, original)


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"]), np.array([b"a"])])
def test_array_of_anything_but_numbers_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "file.pkl", {"blobs": blobs(Tiny()) | {"conv1_w": array}})
    with pytest.raises(ValueError, match=r"an array of kind '[OUS]\d', which does not hold numbers"):
        load_checkpoint(Tiny(), path)


def test_caffe2_oddities_are_completed() -> None:
    original, network = Tiny(width=4), Tiny(width=4)
    found = blobs(original)
    found["conv1_w"] = found["conv1_w"][..., 0, 0, 0]  # trailing dimensions of 1
    del found["res_conv1_bn_rm"], found["res_conv1_bn_riv"]  # scale and shift only
    for leaf in ("s", "b", "rm", "riv"):  # shared by halves of a batch
        found[f"res2_0_branch2a_bn_{leaf}"] = found[f"res2_0_branch2a_bn_{leaf}"][:2]
    state = {name: torch.from_numpy(blob) for name, blob in found.items()}
    network.load_state_dict(convert(state, network).tensors)
    assert torch.equal(network.stem.conv.weight, original.stem.conv.weight)
    x = torch.randn(2, 4, 1, 3, 3)
    scale, shift = (getattr(original.stem.norm, leaf).detach().view(1, 4, 1, 1, 1) for leaf in ("weight", "bias"))
    torch.testing.assert_close(network.eval().stem.norm(x), x * scale + shift)
    for leaf in NORM[:4]:
        got, wanted = (net.state_dict()[f"stages.0.0.a.norm.{leaf}"] for net in (network, original))
        assert got.tolist() == [*wanted[:2].tolist(), *wanted[:2].tolist()]


def broken(change: Callable[[dict[str, Tensor]], object]) -> dict[str, Tensor]:
    state = public_state(Tiny(), "pyslowfast")
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("s2.pathway0_res0.branch2.a.weight"), r"got 1 missing: stages\.0\.0\.a\.conv\.weight; build"),
        (lambda s: s.update({"s2.strange.weight": torch.ones(1)}), r"got 1 unexpected: s2\.strange\.weight; build"),
        (
            lambda s: s.update({"s2.pathway0_res0.branch1.weight": torch.ones(8, 3, 1, 1, 1)}),
            r"got 1 of another shape: s2\.pathway0_res0\.branch1\.weight \(8, 3, 1, 1, 1\) for "
            r"stages\.0\.0\.shortcut\.conv\.weight \(8, 2, 1, 1, 1\); build",
        ),
        (
            lambda s: [s.pop(name) for name in list(s) if "res0.branch2.b" in name],
            r"got 5 missing: (stages\.0\.0\.b\.\S+, ){4}stages\.0\.0\.b\.norm\.running_var; build",
        ),
        (
            lambda s: s.update({f"s2.pathway0_res{n}.branch1.weight": torch.ones(1) for n in range(1, 8)}),
            r"got 7 unexpected: (s2\.pathway0_res[1-5]\.branch1\.weight, ){5}\.\.\.; build",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_listed(change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    with pytest.raises(ValueError, match=r"must fit Tiny, " + message):
        convert(broken(change), Tiny())


def test_two_tensors_for_one_place_are_refused() -> None:
    state = public_state(Tiny(), "mmaction2")
    state["conv1.conv.weight"] = state["backbone.conv1.conv.weight"]
    with pytest.raises(ValueError, match=r"got 2 twice: backbone\.conv1\.conv\.weight, conv1\.conv\.weight"):
        convert(state, Tiny())


def test_checkpoint_of_another_network_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path, network = tmp_path / "other.pth", R2Plus1D(18)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.save(public_state(Tiny(), "vmz"), path)
    with pytest.raises(
        ValueError, match=r"other\.pth' \(layout vmz\) must fit R2Plus1D, got \d+ missing: stem\.0\.conv"
    ):
        load_checkpoint(network, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("width", [1, 157, 400])
def test_classifier_of_any_width_is_left_out_unless_wanted(width: int) -> None:
    state = public_state(Tiny(), "mmaction2") | {"cls_head.fc_cls.weight": torch.ones(width, 8)}
    assert convert(state, Tiny()).left_out == ("cls_head.fc_cls.weight", "cls_head.fc_cls.bias")
    with pytest.raises(ValueError, match=r"2 unexpected: cls_head\.fc_cls\.weight, cls_head\.fc_cls\.bias"):
        convert(state, Tiny(), ignore_classifier=False)


def test_layout_that_is_not_the_given_one_is_named() -> None:
    state = public_state(Tiny(), "pytorchvideo")
    with pytest.raises(
        ValueError, match=r"in layout vmz, got 32 other names: blocks\.0\.conv.*looks like pytorchvideo"
    ):
        convert(state, Tiny(), "vmz")
    assert convert(state, Tiny(), "pytorchvideo").layout == "pytorchvideo"
    with pytest.raises(ValueError, match=r"layout must be one of vmz, mmaction2, .*, native, got 'psf'"):
        convert(state, Tiny(), "psf")


def test_layout_that_cannot_be_told_is_refused() -> None:
    state = {f"encoder.{n}.weight": torch.ones(2) for n in range(7)}
    with pytest.raises(
        ValueError, match=r"known layout, got 7 names such as (encoder\.[0-4]\.weight, ){5}\.\.\.; known"
    ):
        convert(state, Tiny())


class Runs:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("form", ["pickle", "torch", "old torch"])
@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "pathlib.Path.touch"])
def test_file_that_runs_code_is_refused_by_name_and_not_run(name: str, form: str, tmp_path: Path) -> None:
    import os

    trace, path = tmp_path / "trace", tmp_path / "file.pkl"
    calls: dict[str, Runs] = {
        "os.system": Runs(os.system, f"touch {trace}"),
        "builtins.eval": Runs(eval, f"__import__('pathlib').Path({str(trace)!r}).touch()"),
        "pathlib.Path.touch": Runs(Path.touch, trace),
    }
    found = {"blobs": blobs(Tiny()), "cfg": calls[name]}
    if form == "pickle":
        write_pickle(path, found)
    else:
        torch.save(found, path, _use_new_zipfile_serialization=form == "torch")
    named = {"os.system": "posix", "builtins.eval": "eval", "pathlib.Path.touch": "(getattr|[pP]ath)"}[name]
    with pytest.raises(
        ValueError, match=rf"(?s)must hold plain tensors or arrays, got .*{named}.*nothing in it was run"
    ):
        load_checkpoint(Tiny(), path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(calls[name]))  # what the file would have done
    assert trace.exists()


def test_history_of_a_training_is_passed_over(tmp_path: Path) -> None:
    module = types.ModuleType("mmengine.logging.history_buffer")
    source = """
import numpy as np
class HistoryBuffer:
    def __init__(self):
        self._log_history, self._count_history = np.arange(3.0), np.arange(3)
        self._statistics_methods = {"mean": HistoryBuffer.mean, "last": self.current}
    def mean(self): ...
    @classmethod
    def current(cls): ...
"""
    exec(source, module.__dict__)
    packages = {name: types.ModuleType(name) for name in ("mmengine", "mmengine.logging")}
    original, network, path = Tiny(), Tiny(), tmp_path / "file.pth"
    history: dict[str, Any] = {"loss": module.__dict__["HistoryBuffer"](), "time": np.float64(0.5)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**packages, "mmengine.logging.history_buffer": module}.items():
            patch.setitem(sys.modules, name, value)
        torch.save({"message_hub": history, "state_dict": public_state(original, "mmaction2")}, path)
    load_checkpoint(network, path)
    assert_equal(network, original)
    assert "mmengine" not in sys.modules


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("form", ["torch", "old torch", "pickle"])
def test_truncated_file_is_refused(form: str, kept: float, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    if form == "pickle":
        write_pickle(path, {"blobs": blobs(Tiny())})
    else:
        torch.save(public_state(Tiny(), "vmz"), path, _use_new_zipfile_serialization=form == "torch")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    reason = "an empty file" if kept == 0 else r"\d+ bytes that stop at: \S+"
    with pytest.raises(ValueError, match=rf"must hold plain tensors or arrays, got {reason}.*download it again"):
        load_checkpoint(Tiny(), path)


@pytest.mark.parametrize(
    ("found", "got"),
    [
        ([torch.ones(1)], "list"),
        ({}, "nothing"),
        ({"epoch": 3, "names": ["a"]}, "'epoch', 'names'"),
        ({"state_dict": {}}, "'state_dict'"),
        ({"blobs": {"conv1_w": "a"}}, "'blobs'"),
    ],
)
def test_file_without_tensors_is_refused(found: object, got: str, tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "file.pkl", found) if not isinstance(found, list) else tmp_path / "file.pkl"
    if isinstance(found, list):
        torch.save(found, path)
    with pytest.raises(ValueError, match=rf"must map names to tensors, .*got {got}; save only the state dict"):
        load_checkpoint(Tiny(), path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"weights must name an existing file, got '.*none\.pth'"):
        load_checkpoint(Tiny(), tmp_path / "none.pth")
