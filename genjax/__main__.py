"""Commands: python -m genjax NAME runs a command; without NAME, all commands are listed."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "commands"


def command_names() -> list[str]:
    """Return the names of all commands, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def first_line(name: str) -> str:
    """Return the first line of a command module's docstring, without importing the module."""
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0].split(": python")[0].rstrip(".")


def listing() -> str:
    """Return the list of commands as text: a heading, then one line per command."""
    lines = ["Commands on trained runs (plan: on an experiment): python -m genjax NAME RUN [--help]"]
    lines += [f"  {name:<11} {first_line(name)}" for name in command_names()]
    return "\n".join([*lines, "Experiments, which train them: python -m experiments"])


def run(name: str, arguments: Sequence[str]) -> None:
    """Run the command of this name."""
    import tyro

    from genjax.runs.session import check_devices, configure, user_errors

    configure()
    with user_errors():
        if name != "plan":  # which divides a CPU before JAX starts
            check_devices()
        module = importlib.import_module(f"genjax.commands.{name}")
        command = getattr(module, name)
        tyro.cli(command, prog=f"python -m genjax {name}", description=module.__doc__, args=list(arguments))


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name, or list all commands; return the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(listing())
        return 0
    name, *rest = arguments
    if name not in command_names():
        print(f"error: no command {name!r}; there are {', '.join(command_names())}", file=sys.stderr)
        return 2
    try:
        run(name, rest)
    except KeyboardInterrupt:  # raised while modules are imported
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
