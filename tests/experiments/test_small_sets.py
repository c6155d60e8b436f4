"""Every experiment draws and measures on a set of thirty images of one's own."""

import importlib
import json

import numpy as np
import pytest

from genjax.commands.detect import detect
from genjax.runs.directory import RunError
from genjax.runs.runner import main

OPTIONS = {
    "eonade": ["--hidden", "3", "--orderings", "2"],
    "made": ["--hidden", "3", "--masks", "2"],
    "nade": ["--hidden", "3"],
    "pixel_cnn": ["--features", "4", "--blocks", "1", "--first-kernel", "3", "--gated", "--task", "super-resolution"],
    "pixel_rnn": [
        "--features",
        "3",
        "--layers",
        "1",
        "--layer",
        "row",
        "--optimizer",
        "rmsprop",
        "--precision",
        "bfloat16",
    ],
    "rnade": ["--hidden", "3", "--components", "2"],
    "tabular": ["--contexts", "2d", "--k", "2"],
    "vae": ["--hidden", "4", "--evaluation-samples", "2"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_thirty_images_are_enough(name, tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, image=np.random.default_rng(0).integers(0, 2, (30, 6, 4), dtype=np.uint8) * 255)
    module = importlib.import_module(f"experiments.{name}")
    common = ["--dataset", path, "--steps", 4, "--batch-size", 5, "--evaluate-every", 2, "--workdir", tmp_path / "run"]
    with pytest.raises(SystemExit) as exit_:
        main(getattr(module, name), module.PRESETS, [str(word) for word in [*OPTIONS[name], *common]])
    assert exit_.value.code == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["dataset"]["name"] == "own"
    assert all(np.isfinite(values["mean"]) for values in result["metrics"].values())
    assert len(list((tmp_path / "run/figures").glob("*.png"))) >= 3
    if "super-resolution" in OPTIONS[name]:
        with pytest.raises(RunError, match="of an image given another one: it scores no image alone"):
            detect(tmp_path / "run")
