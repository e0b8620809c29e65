"""The one command: `python cli.py fit|validate|test|predict -c CONFIG`, and `evaluate` for score files."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import jsonargparse
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

import networks  # noqa: F401  importing a room makes its classes known by their short names
from callbacks import LogConfig, evaluate
from datamodules import VideoDataModule
from lightning_modules import MultiLabelModule

DESCRIPTION = """Multi-label video activity recognition at many speeds. `evaluate SCORES` reduces the score file of a test
run in another way; it needs no video (see `evaluate --help`)."""


# Lightning 2.6 calls what jsonargparse deprecates; users of this command can do nothing about it.
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")  # nor about what it calls of torch


class VideoCLI(LightningCLI):
    """LightningCLI whose configuration always wins and whose runs live in one folder each, `trainer.default_root_dir`."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Refuse abbreviated options: a typing error must not choose another one."""
        return super().init_parser(**kwargs, allow_abbrev=False)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The number of labels comes from the data."""
        parser.link_arguments("data.num_labels", "model.init_args.num_labels", apply_on="instantiate")

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would lay the checkpoint's hyperparameters over the configuration and the command line."""

    def before_instantiate_classes(self) -> None:
        """Put what loggers and checkpoints write into the folder of the run."""
        config = self.config[str(self.subcommand)] if self.subcommand else self.config
        root = Path(config.trainer.default_root_dir or "runs")
        config.trainer.default_root_dir = str(root)
        for parts in (config.trainer.logger, config.trainer.callbacks):
            for part in parts if isinstance(parts, list) else [parts]:
                for name in ("save_dir", "dirpath"):
                    if isinstance(part, jsonargparse.Namespace) and part.get("init_args", {}).get(name):
                        part.init_args[name] = str(root / part.init_args[name])


def main(args: ArgsType = None, run: bool = True) -> VideoCLI | None:
    """Run the command line; `run=False` only builds model, data and trainer."""
    words = sys.argv[1:] if args is None else args
    if isinstance(words, list) and words[:1] == ["evaluate"]:
        jsonargparse.auto_cli(evaluate, args=words[1:], prog="cli.py evaluate")
        return None
    return VideoCLI(
        MultiLabelModule,
        VideoDataModule,
        args=args,
        run=run,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        save_config_callback=LogConfig,
        save_config_kwargs={"save_to_log_dir": False},
        seed_everything_default=0,
        trainer_defaults={"use_distributed_sampler": False},  # the data modules' own samplers know the ranks
        parser_kwargs={"description": DESCRIPTION},
    )


if __name__ == "__main__":
    main()
