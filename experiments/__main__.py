"""List of all experiments: python -m experiments."""

import ast
from pathlib import Path


def first_line(name: str) -> str:
    """Return the first line of a file's docstring, read without importing it."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0].split(": python")[0].rstrip(".")


def is_experiment(path: Path) -> bool:
    """Return whether a file defines PRESETS, as every experiment does and no other file."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    return any(isinstance(target, ast.Name) and target.id == "PRESETS" for target in targets)


def experiment_names() -> list[str]:
    """Return the names of all experiments, sorted."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if is_experiment(path))


def main() -> None:
    """Print one line per experiment, and the other commands."""
    lines = ["Experiments: python -m experiments.NAME [--preset quick|small|paper] [--help]"]
    lines += [f"  {name:<11} {first_line(name)}" for name in experiment_names()]
    lines += ["Commands on a trained run: python -m genjax"]
    lines += ["Results and benchmark: python -m experiments.ledger, python -m experiments.speed"]
    print("\n".join(lines))  # at once: `... | head -1` ends without an error


if __name__ == "__main__":
    main()
