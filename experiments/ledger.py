"""Keep results, and write the README's tables of them: python -m experiments.ledger add RUN."""

import importlib
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from genjax.runs.directory import RESULT, RunError, read_json, write_json
from genjax.runs.experiment import Reference
from genjax.runs.options import as_json, parse
from genjax.runs.report import mean_and_deviation
from genjax.runs.session import user_errors

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
SPEED = "speed.json"

SHOWN = (
    "nll_nats",
    "elbo_nats",
    "iwae_500_nats",
    "iwae_5000_nats",
    "nats_per_character",
    "code_mmd2",
    "category_error",
    "paired_error",
    "cycle_error",
    "matching_auroc",
    "pair_auroc",
    "piece_accuracy",
    "jigsaw_accuracy",
    "patch_distance",
)
"""The metrics that stand in the table, and those beside which something stands; the others are in the files."""

ANCHORS = {
    "parzen_nats": {
        "parzen_training_images_nats": "training images in place of samples",
        "parzen_kmeans_nats": "k-means centres in place of samples",
    },
    "probe_error": {
        "random_probe_error": "features of weights that are not trained",
        "pixel_probe_error": "pixels",
        "pca_probe_error": "principal components",
    },
    "paired_error": {"unchanged_paired_error": "images as they were"},
    "mask_iou": {"mean_mask_iou": "the mean training mask", "random_mask_iou": "another image's mask"},
    "restored_digit_accuracy": {
        "real_digit_accuracy": "real images, the ceiling",
        "patch_digit_accuracy": "logistic regression on the patches' pixels",
    },
    "domain_accuracy": {
        "real_domain_accuracy": "real images, the ceiling",
        "unchanged_domain_accuracy": "images as they were",
    },
    "digit_agreement": {"real_digit_agreement": "real images, the ceiling"},
    "patch_distance": {
        "real_patch_distance": "training images in place of samples",
        "validation_patch_distance": "validation images in place of samples",
    },
    **{
        f"swd_{side}": {f"real_swd_{side}": "training images in place of samples"} for side in (4, 7, 8, 14, 16, 28, 32)
    },
    **{
        f"{name}_accuracy": {
            f"real_{name}_accuracy": "real scenes, the ceiling",
            f"zero_shot_{name}_accuracy": "captions of pairs that were held out",
        }
        for name in ("digit", "colour", "place", "scene")
    },
}
"""What a run measures of other things in the protocol of one of its metrics, which then stands in the table, too."""


def results() -> list[dict[str, Any]]:
    """All results that are kept, by file name."""
    return [read_json(path) for path in sorted(RESULTS.glob("*.json")) if path.name != SPEED]


def results_table(kept: Sequence[Mapping[str, Any]]) -> str:
    """The results in Markdown: the published or anchor value beside ours."""
    header = ("experiment", "data (pixels)", "metric", "beside", "ours", "seeds", "device", "time", "command")
    return markdown(header, [row for result in kept for row in result_rows(result)])


def result_rows(result: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """A row per metric shown of one result, and per reference of it."""
    dataset = result["dataset"]
    for metric in result["metrics"]:
        known = [*map(reference_text, references(result, metric)), *anchors(result["metrics"], metric)]
        for beside in known or ["none known"] * (metric in SHOWN):
            yield (
                result["experiment"],
                f"{dataset['name']} ({dataset['protocol']})",
                metric,
                beside,
                mean_and_deviation(result["metrics"][metric]),
                str(len(result["seeds"])),
                result["device"],
                duration(result["wall_seconds"]),
                f"`{result['command'].removeprefix('python -m ')}`",
            )


def reference_text(reference: Reference) -> str:
    """A reference as it stands in the table."""
    return f"{reference.value:g}: {reference.source}"


def anchors(metrics: Mapping[str, Mapping[str, Any]], metric: str) -> list[str]:
    """What the same run measured beside a metric, as it stands in the table."""
    found = {name: what for name, what in ANCHORS.get(metric, {}).items() if name in metrics}
    return [f"{mean_and_deviation(metrics[name])}: {what} (this run)" for name, what in found.items()]


def duration(seconds: float) -> str:
    """Seconds below two minutes, else minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def references(result: Mapping[str, Any], metric: str) -> list[Reference]:
    """The references whose metric, data, protocol and options are those of the result."""
    dataset, options = result["dataset"], options_of(result)
    known = importlib.import_module(f"experiments.{result['experiment']}").REFERENCES
    return [
        one
        for one in known
        if (one.metric, one.dataset, one.protocol) == (metric, dataset["name"], dataset["protocol"])
        and all(options[name] == value for name, value in one.options.items())
    ]


def options_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a result's command."""
    name = result["experiment"]
    module = importlib.import_module(f"experiments.{name}")
    return as_json(parse(getattr(module, name), module.PRESETS, shlex.split(result["command"])[3:]))["options"]


def speed_table(speed: Mapping[str, Any]) -> str:
    """The speed table in Markdown."""
    rows = [
        (
            row["ours"],
            row["other"],
            f"{row['ratio']:.2f}",
            "" if row["target"] is None else f"≥ {row['target']:.2f}",
            f"{row['images_per_second']:.1f}" if "images_per_second" in row else "",
        )
        for row in speed["rows"]
    ]
    return markdown(("ours", "other", "other / ours", "promised", "images/s, ours"), rows)


def growth_table(speed: Mapping[str, Any]) -> str:
    """The time of a training step at each side over that at the first, in Markdown."""
    rows = [(row["model"], *(f"{ratio:.2f}" for ratio in row["ratios"])) for row in speed["growth"]]
    return markdown(("training step", *(f"{side}x{side}" for side in speed["growth"][0]["sides"])), rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def with_tables(readme: str) -> str:
    """The README with its tables written anew from the ledger."""
    readme = replace_between(readme, "results", results_table(results()))
    speed = read_json(RESULTS / SPEED)
    return replace_between(replace_between(readme, "speed", speed_table(speed)), "growth", growth_table(speed))


def replace_between(text: str, name: str, content: str) -> str:
    """`text` with `content` between the comments `<!-- name -->` and `<!-- /name -->`."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if start not in text or end not in text:
        raise RunError(f"{README} lacks the lines {start} and {end}")
    return text[: text.index(start) + len(start)] + "\n" + content + "\n" + text[text.index(end) :]


def file_name(result: Mapping[str, Any]) -> str:
    """The experiment, the preset, and what else the command says."""
    words = shlex.split(result["command"])[3:]
    rest = [word.lstrip("-") for word in words if word not in ("--preset", result["preset"])]
    return "-".join([result["experiment"], result["preset"], *rest]).replace("/", "-") + ".json"


def keep(result: Mapping[str, Any]) -> Path:
    """Put a result, or a speed table, into the ledger."""
    path = RESULTS / (SPEED if "rows" in result else file_name(result))
    write_json(path, result)
    return path


def add(runs: Annotated[tuple[Path, ...], tyro.conf.Positional]) -> None:
    """Put finished runs into the ledger and write the README's tables.

    Args:
        runs: Run directories, or speed tables that `experiments.speed.benchmark` saved.
    """
    if not runs:
        raise RunError("ledger add: give one or more run directories", exit_code=2)
    for run in runs:
        path = run / RESULT if run.is_dir() else run
        if not path.is_file():
            raise RunError(f"{run} holds no finished run: {path} is missing")
        result = read_json(path)
        if not re.fullmatch(r"[0-9a-f]{40}", result.get("commit") or ""):
            raise RunError(f"{path}: commit={result.get('commit')!r}; the ledger keeps results of committed code only")
        if result.get("only"):
            raise RunError(f"{path} was measured with --only {result['only']}; the ledger takes whole tables")
        print(f"kept: {keep(result).name}")
    write()


def write() -> None:
    """Write the README's tables from the ledger."""
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    with user_errors():
        tyro.extras.subcommand_cli_from_dict(
            {"add": add, "write": write}, prog="python -m experiments.ledger", description=__doc__
        )
    sys.exit(0)
