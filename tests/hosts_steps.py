"""What tests/hosts_case.py shows once two processes of four devices each have met."""

from pathlib import Path

import jax
import numpy as np

from genjax.checkpoint import Checkpoints, as_arrays
from genjax.core import due_phases
from genjax.data.dataset import Split
from genjax.data.feed import StepSource, batch_indices, make_feed, read_items, with_mesh
from genjax.mesh import fetched, gathered, make_mesh
from genjax.runs.directory import RunError
from genjax.runs.processes import check_same
from genjax.training import copied, empty_seeds, init_seeds, make_train_step, placed_state
from tests.mesh_case import difference
from tests.model_cases import BATCH, EXAMPLES
from tests.test_all_models import feed, float64_model_of
from tests.toys import load


def values(tree):
    """Return whole arrays, those of random keys as numbers."""
    return fetched(as_arrays(tree))


def compared(name, alone, seeds, steps=2):
    """Return the largest difference between steps of all devices and of one, from equal states."""
    model, spread = float64_model_of(name), with_mesh(alone, make_mesh(len(seeds), BATCH))
    state = init_seeds(model, alone, seeds)
    largest = difference(values(init_seeds(model, spread, seeds)), values(state))
    for step, one, other in zip(range(steps), read_items(alone, 0), read_items(spread, 0), strict=False):
        due = due_phases(model.phases, step)
        given = placed_state(spread, copied(state))
        on_mesh, metrics = make_train_step(model, spread, due)(given, spread.arrays, other)
        state, expected = make_train_step(model, alone, due)(state, alone.arrays, one)
        here = gathered(spread.mesh, on_mesh)
        largest = np.max([largest, difference(values(on_mesh), values(state)), difference(here, state)])
        largest = np.max([largest, difference(fetched(metrics), fetched(expected))])
    return float(largest)


def streamed(seeds):
    """Return whether a batch that is read step by step is whole on the mesh, and which examples this process reads."""
    arrays = {"image": np.random.default_rng(0).random((EXAMPLES, 4, 4, 1))}
    read = []

    def noted(indices):
        read.extend(indices.tolist())
        return {name: array[indices] for name, array in arrays.items()}

    feed = with_mesh(make_feed(Split(EXAMPLES, noted, None), load, seeds, BATCH), make_mesh(len(seeds), BATCH))
    StepSource(feed, 2)[0]
    own, whole = sorted(read), batch_indices(seeds, 2, BATCH, EXAMPLES)
    item = next(read_items(feed, 2))
    equal = np.array_equal(values(item)["image"], arrays["image"][whole])
    return {"equal": equal, "read": own, "whole": np.sort(whole, axis=1).tolist()}


def checkpoints(folder: Path):
    """Return whether a checkpoint of one device is read here, and one is saved and read again."""
    model, seeds = float64_model_of("nade"), (3, 5)
    alone = feed("nade", seeds)
    spread = with_mesh(alone, make_mesh(len(seeds), BATCH))
    state, like = init_seeds(model, alone, seeds), empty_seeds(model, spread, seeds)
    read = Checkpoints(folder / "one", read_only=True).restore_latest(like).tree
    two = Checkpoints(folder / "two")
    two.save(0, read, {})
    again = two.restore_latest(like).tree
    two.close()
    return {
        "one to two": difference(values(read), values(state)) == 0,
        "two to two": difference(values(again), values(state)) == 0,
        "spread": not read.key.is_fully_addressable,
    }


def unfit():
    """Return what is said of a batch that does not divide over all devices, and of fewer devices."""
    said = []
    for batch_size, devices in ((12, None), (16, 4)):
        try:
            make_mesh(1, batch_size, devices)
        except ValueError as error:
            said.append(str(error))
    return said


def refused():
    """Return what is said if the second process has another option."""
    config = {"experiment": "a:b", "options": {"steps": 3 + jax.process_index(), "process_id": jax.process_index()}}
    try:
        check_same(config, "data")
    except RunError as error:
        return str(error)
    return ""


def shown(folder, names):
    """Return all that is shown, with a checkpoint of nade in the folder that a process with one device has written."""
    jax.config.update("jax_enable_x64", True)
    found = {"refused": refused(), "unfit": unfit(), "streamed": streamed((3,)), "seeds": streamed((3, 5))}
    found |= {"checkpoints": checkpoints(folder)}
    found |= {name: compared(name, feed(name, (3,)), (3,)) for name in names}
    return found | {"groups": compared("nade", feed("nade", (3, 5)), (3, 5))}
