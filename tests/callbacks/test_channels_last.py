from pathlib import Path

import torch
import yaml

from tests.conftest import Run


def test_weights_are_reordered_and_the_fit_is_the_same(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "order.yaml"
    config.write_text(yaml.safe_dump({"trainer": {"callbacks+": [{"class_path": "ChannelsLast"}]}}))
    plain = run("fit", "--trainer.max_epochs=2", f"--trainer.default_root_dir={tmp_path / 'plain'}").model
    ordered = run("fit", "--trainer.max_epochs=2", configs=(config,)).model
    kernels = [p for p in ordered.backbone.parameters() if p.ndim == 5 and p.shape[1] > 1]
    assert kernels and all(p.is_contiguous(memory_format=torch.channels_last_3d) for p in kernels)
    assert not any(
        p.is_contiguous(memory_format=torch.channels_last_3d)
        for p in plain.backbone.parameters()
        if p.ndim == 5 and p.shape[1] > 1
    )
    clips = torch.rand(2, 3, 4, 32, 32)
    torch.testing.assert_close(ordered.eval()(clips), plain.eval()(clips), rtol=1e-3, atol=1e-4)
