"""Keep results of runs, and write the tables of the pages from them.

    python -m experiments.ledger add RUN...     put finished runs into experiments/results/, and write the tables
    python -m experiments.ledger show RUN       print a run's rows of the table of results; nothing is kept
    python -m experiments.ledger write          write the tables of README.md and of results/README.md

An experiment's file declares the numbers to compare its metrics with, `REFERENCES` (published) and `BASELINES`
(measured in the same run), and `HEADLINE`, its metric in the table of systems.
"""

import importlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from experiments.__main__ import experiment_names, first_line
from experiments.speed import growth, peer
from genjax.runs.config import as_json, imported, parse
from genjax.runs.directory import RESULT, RunError, read_config, read_json, write_json
from genjax.runs.experiment import Baseline, Reference
from genjax.runs.quality import quality_baselines
from genjax.runs.report import mean_and_deviation
from genjax.runs.session import user_errors

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
SPEED = "speed.json"
TABLES = {"rows": SPEED, "peers": "peers.json", "exponents": "exponents.json"}
"""File of each table of `experiments.speed`, by a name that only its JSON object has."""

HEADER = ("experiment", "data (pixels)", "metric", "ours", "to compare with", "seeds", "device", "time", "command")


class Entry(NamedTuple):
    """Finished run, and the references, baselines and headline metric that its experiment's file declares."""

    result: Mapping[str, Any]
    """Content of result.json."""
    options: Mapping[str, Any]
    """All options of the run, by name."""
    references: tuple[Reference, ...]
    baselines: tuple[Baseline, ...]
    headline: str | None

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Mean, standard deviation and kind of each metric."""
        return self.result["metrics"]


def entry(result: Mapping[str, Any], options: Mapping[str, Any], module: Any) -> Entry:
    """Return the entry of a result, with the declarations of the experiment's module."""
    baselines = (*getattr(module, "BASELINES", ()), *quality_baselines(result["metrics"]))
    return Entry(result, options, getattr(module, "REFERENCES", ()), baselines, getattr(module, "HEADLINE", None))


def kept_entry(result: Mapping[str, Any]) -> Entry:
    """Return the entry of a result in the ledger; its options are read from its command."""
    name = result["experiment"]
    module = importlib.import_module(f"experiments.{name}")
    config = parse(getattr(module, name), module.PRESETS, shlex.split(result["command"])[3:])
    return entry(result, as_json(config)["options"], module)


def run_entry(directory: Path) -> Entry:
    """Return the entry of a finished run of any experiment."""
    config = read_config(directory)
    function = imported(config["experiment"], config.get("file"))
    return entry(finished(directory), config["options"], sys.modules[function.__module__])


def finished(run: Path) -> Mapping[str, Any]:
    """Return the result in a run directory or a JSON file; RunError if there is none."""
    path = run / RESULT if run.is_dir() else run
    if not path.is_file():
        raise RunError(f"{run} holds no finished run: {path} is missing")
    return read_json(path)


def results() -> list[dict[str, Any]]:
    """Return all results in the ledger, sorted by file name."""
    return [read_json(path) for path in sorted(RESULTS.glob("*.json")) if path.name not in TABLES.values()]


def results_table() -> str:
    """Return the Markdown table of all results in the ledger."""
    return markdown(HEADER, [row for result in results() for row in rows(kept_entry(result))])


def rows(one: Entry) -> Iterator[Sequence[str]]:
    """Yield a table row for each shown metric of a run; only the first row has the columns about the run itself."""
    result, dataset = one.result, one.result["dataset"]
    before = (result["experiment"], f"{dataset['name']} ({dataset['protocol']})")
    command = f"`{result['command'].removeprefix('python -m ')}`"
    after = (str(len(result["seeds"])), result["device"], duration(result["wall_seconds"]), command)
    for metric in shown(one):
        own = (metric, mean_and_deviation(one.metrics[metric]), "<br>".join(comparisons(one, metric)))
        yield (*before, *own, *after)
        before, after = ("",) * len(before), ("",) * len(after)


def shown(one: Entry) -> list[str]:
    """Return the metrics of a run that the table shows, in order.

    They are the headline, metrics with a reference or a baseline, and metrics that are exact or a bound; if a run has
    neither a headline nor a comparison, all its metrics. Baselines have no rows: they are shown in the row of the
    metric that they belong to.
    """
    own = [name for name in one.metrics if name not in {baseline.measured_as for baseline in one.baselines}]
    compared = [name for name in own if name == one.headline or comparisons(one, name)]
    others = [name for name in own if not compared or one.metrics[name]["kind"] != "estimate"]
    first = sorted(compared, key=lambda name: name != one.headline)
    return first + [name for name in others if name not in compared]


def comparisons(one: Entry, metric: str) -> list[str]:
    """Return the comparisons of a metric as text: its references, then the baselines of the same run."""
    references = [f"{reference.value:g}: {reference.source}" for reference in references_of(one, metric)]
    measured = [baseline for baseline in one.baselines if baseline.metric == metric]
    return references + [
        f"{mean_and_deviation(one.metrics[baseline.measured_as])}: {baseline.description} (this run)"
        for baseline in measured
        if baseline.measured_as in one.metrics
    ]


def references_of(one: Entry, metric: str) -> list[Reference]:
    """Return the references whose metric, data, protocol and options are those of a run."""
    dataset = one.result["dataset"]
    return [
        reference
        for reference in one.references
        if (reference.metric, reference.dataset, reference.protocol) == (metric, dataset["name"], dataset["protocol"])
        and all(one.options[name] == value for name, value in reference.options.items())
    ]


def duration(seconds: float) -> str:
    """Return a duration as text: in seconds below two minutes, else in minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def systems_table() -> str:
    """Return the table of all systems, each with its headline metric in the run that `plainest` chooses."""
    kept = [kept_entry(result) for result in results()]
    header = ("system", "paper", "metric", "ours", "to compare with", "command")
    by_name = {name: [one for one in kept if one.result["experiment"] == name] for name in experiment_names()}
    return markdown(header, [system_row(name, entries) for name, entries in by_name.items()])


def system_row(name: str, kept: Sequence[Entry]) -> Sequence[str]:
    """Return the row of a system: its papers, and the headline and command of the run that `plainest` chooses."""
    first = (f"[{name}](experiments/{name}.py)", "; ".join(re.findall(r"\(([^()]*\d{4}[^()]*)\)", first_line(name))))
    best = plainest(kept)
    if best is None or best.headline is None:
        return (*first, "", "", "", f"`python -m experiments.{name}`")
    value = mean_and_deviation(best.metrics[best.headline])
    beside = next(iter(comparisons(best, best.headline)), "")
    return (*first, best.headline, value, beside, f"`{best.result['command']}`")


def plainest(kept: Sequence[Entry]) -> Entry | None:
    """Return the run that represents a system: with its headline metric, a reference, and the fewest changed options.

    Of equal runs, the preset `paper` is preferred, then `small`, then the most seeds. An ablation changes an option and
    so ranks after the complete system.
    """

    def order(one: Entry) -> tuple[bool, int, int, int]:
        options = [word for word in shlex.split(one.result["command"]) if word.startswith("--")]
        changed = [word for word in options if word not in ("--preset", "--seeds")]
        unknown = not references_of(one, one.headline or "")
        preset = {"paper": 0, "small": 1}.get(one.result["preset"], 2)
        return unknown, len(changed), preset, -len(one.result["seeds"])

    return min((one for one in kept if one.headline in one.metrics), key=order, default=None)


def speed_table() -> str:
    """Return the Markdown table of speed comparisons of two implementations."""
    found = [
        (
            row["ours"],
            row["other"],
            f"{row['ratio']:.2f}",
            "" if row["target"] is None else f"≥ {row['target']:.2f}",
            f"{row['images_per_second']:.1f}" if "images_per_second" in row else "",
        )
        for row in read_json(RESULTS / SPEED)["rows"]
    ]
    return markdown(("ours", "other", "other / ours", "target", "images/s, ours"), found)


def growth_table() -> str:
    """Return the Markdown table of training step times at each image side, divided by the time at the first side."""
    grown = read_json(RESULTS / SPEED)["growth"]
    found = [(row["model"], *(f"{ratio:.2f}" for ratio in row["ratios"])) for row in grown]
    return markdown(("training step", *(f"{side}x{side}" for side in grown[0]["sides"])), found)


def peers_table() -> str:
    """Return the Markdown table of training steps and samplers beside PyTorch's."""
    return saved_table("peers", peer.as_text)


def exponents_table() -> str:
    """Return the Markdown table of the exponents of training steps."""
    return saved_table("exponents", growth.as_text)


def saved_table(name: str, as_text: Callable[[Sequence[Any]], Sequence[Sequence[str]]]) -> str:
    """Return a table of `TABLES` in Markdown, with its header and rows `as_text`; a sentence if it is not kept yet."""
    path = RESULTS / TABLES[name]
    if not path.exists():
        return "Not measured yet."
    header, *body = as_text(read_json(path)[name])
    return markdown(header, body)


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with this header and these rows."""
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


PAGES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    README: {"systems": systems_table},
    RESULTS / "README.md": {
        "results": results_table,
        "speed": speed_table,
        "growth": growth_table,
        "peers": peers_table,
        "exponents": exponents_table,
    },
}
"""Functions that return the tables of each page, by the names in the comments that enclose the tables."""


def with_tables(page: Path) -> str:
    """Return the text of a page with its tables replaced by those of the ledger."""
    text = page.read_text(encoding="utf-8")
    for name, table in PAGES[page].items():
        text = replace_between(text, name, table(), page)
    return text


def replace_between(text: str, name: str, content: str, page: Path) -> str:
    """Return `text` with `content` between the comments `<!-- name -->` and `<!-- /name -->`."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if start not in text or end not in text:
        raise RunError(f"{page} lacks the lines {start} and {end}")
    return text[: text.index(start) + len(start)] + "\n" + content + "\n" + text[text.index(end) :]


def file_name(result: Mapping[str, Any]) -> str:
    """Return the file name of a result: the experiment, the preset, and the other options of its command."""
    words = shlex.split(result["command"])[3:]
    rest = [word.lstrip("-") for word in words if word not in ("--preset", result["preset"])]
    return "-".join([result["experiment"], result["preset"], *rest]).replace("/", "-") + ".json"


def keep(result: Mapping[str, Any]) -> Path:
    """Put a result, or a table of speed, into the ledger."""
    tables = [file for name, file in TABLES.items() if name in result]
    path = RESULTS / (tables[0] if tables else file_name(result))
    write_json(path, result)
    return path


def check_result(run: Path, result: Mapping[str, Any]) -> None:
    """Raise RunError if a result cannot be kept."""
    if not TABLES.keys() & result.keys() and not result["command"].startswith("python -m experiments."):
        raise RunError(f"{run} is of an experiment outside of experiments/; `ledger show` prints its rows")
    if not re.fullmatch(r"[0-9a-f]{40}", result.get("commit") or ""):
        raise RunError(f"{run}: commit={result.get('commit')!r}; the ledger keeps results of committed code only")
    if result.get("only") and not ("peers" in result and result["only"] == peer.STEPS):
        raise RunError(f"{run} was measured with --only {result['only']}; the ledger takes whole tables")


def add(runs: Annotated[tuple[Path, ...], tyro.conf.Positional]) -> None:
    """Put finished runs into the ledger and write the tables.

    Args:
        runs: Run directories, or speed tables that `experiments.speed` saved.
    """
    if not runs:
        raise RunError("ledger add: give one or more run directories", exit_code=2)
    for run in runs:
        result = finished(run)
        check_result(run, result)
        print(f"kept: {keep(result).name}")
    write()


def show(run: Annotated[Path, tyro.conf.Positional]) -> None:
    """Print the rows of a finished run in Markdown; nothing is kept.

    Args:
        run: Run directory of any experiment.
    """
    print(markdown(HEADER, list(rows(run_entry(run)))))


def write() -> None:
    """Write the tables of the pages from the ledger."""
    for page in PAGES:
        page.write_text(with_tables(page), encoding="utf-8")


if __name__ == "__main__":
    with user_errors():
        tyro.extras.subcommand_cli_from_dict(
            {"add": add, "show": show, "write": write}, prog="python -m experiments.ledger", description=__doc__
        )
    sys.exit(0)
