"""The one command: `python cli.py fit|validate|test|predict -c CONFIG`, `scan` for the videos, `evaluate` for score files."""

import atexit
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonargparse
import lightning.pytorch as pl
import torch.distributed as dist
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.utilities import rank_zero_warn

import networks  # noqa: F401  importing a room makes its classes known by their short names
from callbacks import AtomicCheckpointIO, FaultAdvice, LogConfig, evaluate
from callbacks.files import check_writable
from datamodules import VideoDataModule
from datamodules.scan import scan
from lightning_modules import MultiLabelModule

DESCRIPTION = "Multi-label video activity recognition at many speeds."
FUNCTIONS: dict[str, Callable[..., int | None]] = {"scan": scan, "evaluate": evaluate}  # commands that need no Trainer


# Lightning 2.6 calls what jsonargparse deprecates; users of this command can do nothing about it.
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")  # nor about what it calls of torch


@atexit.register
def _leave_group() -> None:
    """End the threads of the process group: now and then gloo's abort the interpreter, and launchers stop all for one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


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

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Without `--weights_only`: a checkpoint is always read as data, also from an address, which Lightning unpickles."""
        return {name: {*skipped, "weights_only"} for name, skipped in LightningCLI.subcommands().items()}

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        """Also name the commands that `main` runs without this class, in the help and where a command is misspelt."""
        super()._add_subcommands(parser, **kwargs)
        for name, function in FUNCTIONS.items():
            summary = (function.__doc__ or "").splitlines()[0]
            parser._subcommands_action.add_subcommand(  # type: ignore[union-attr]
                name, LightningArgumentParser(), help=summary
            )

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}

    def before_instantiate_classes(self) -> None:
        """Put what loggers and checkpoints write into the folder of the run; refuse one that cannot be written to."""
        self._given = self.config.clone()
        config = self.config[str(self.subcommand)] if self.subcommand else self.config
        root = Path(config.trainer.default_root_dir or "runs")
        config.trainer.default_root_dir = str(root)
        if not config.trainer.fast_dev_run:
            check_writable(root)
        for parts in (config.trainer.logger, config.trainer.callbacks):
            for part in parts if isinstance(parts, list) else [parts]:
                for name in ("save_dir", "dirpath"):
                    if isinstance(part, jsonargparse.Namespace) and part.get("init_args", {}).get(name):
                        part.init_args[name] = str(root / part.init_args[name])

    def _check_weights(self, subcommand: str) -> None:
        """Say that untrained weights may be scored; refuse `last` where there is none, of which Lightning only warns."""
        if subcommand == "fit":
            return
        path = self.config[subcommand].get("ckpt_path")
        if path is None and not getattr(self.trainer, "fast_dev_run", False):  # scores of which nobody reads
            rank_zero_warn(
                f"no --ckpt_path: {subcommand} takes the weights that the configuration loads, and untrained ones elsewhere; "
                "give --ckpt_path last, or the path of a checkpoint"
            )
        if path == "last":
            folders = dict.fromkeys(
                Path(c.dirpath)
                for c in self.trainer.checkpoint_callbacks
                if isinstance(c, ModelCheckpoint) and c.dirpath
            )
            if not any(path for folder in folders for path in folder.glob("last*.ckpt")):
                raise ValueError(
                    f"--ckpt_path last: no last*.ckpt in {', '.join(map(str, folders)) or 'any folder of checkpoints'}; "
                    "check --trainer.default_root_dir, or give the path of a checkpoint"
                )

    def _run_subcommand(self, subcommand: str) -> None:
        """End what Lightning's launcher has started if this process fails: it would wait in a collective call, for ever."""
        self._check_weights(subcommand)
        try:
            super()._run_subcommand(subcommand)
        except BaseException:
            if isinstance(launcher := self.trainer.strategy.launcher, _SubprocessScriptLauncher):
                launcher.kill(signal.SIGKILL)
            raise

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Write checkpoints whole or not at all, unless a plugin or the strategy has a way of its own."""
        self.config = self._given  # what is saved with the run: with paths as they were given, it can be used again
        trainer = super().instantiate_trainer(**kwargs)
        # first: when a worker dies, any callback may be interrupted by the news of it
        trainer.callbacks.sort(key=lambda callback: not isinstance(callback, FaultAdvice))  # type: ignore[attr-defined]
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        return trainer


def _call(name: str, words: list[str]) -> None:
    """Run a function as a command; what it refuses is one line on stderr and status 2, as of `python -m metrics`."""
    prog, positional = f"cli.py {name}", name == "evaluate"
    try:
        if name == "scan" and "-c" in words:
            raise ValueError("-c takes the files of a whole run; scan takes the data alone, with --data CONFIG")
        if jsonargparse.auto_cli(FUNCTIONS[name], words, prog=prog, as_positional=positional, allow_abbrev=False):
            sys.exit(1)
    except (ValueError, OSError) as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        sys.exit(2)


def main(args: ArgsType = None, run: bool = True) -> VideoCLI | None:
    """Run the command line; `run=False` only builds model, data and trainer."""
    words = sys.argv[1:] if args is None else args
    if isinstance(words, list) and words and words[0] in FUNCTIONS:
        _call(words[0], words[1:])
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
        # the data modules' own samplers know the ranks
        trainer_defaults={"use_distributed_sampler": False, "callbacks": [FaultAdvice()]},
        parser_kwargs={"description": DESCRIPTION},
    )


if __name__ == "__main__":
    main()
