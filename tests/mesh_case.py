"""Steps of models on a mesh of 2 x 4 devices beside those of one device: python -m tests.mesh_case [NAME...].

It needs eight devices, such as XLA_FLAGS=--xla_force_host_platform_device_count=8 gives, and prints a line of JSON. By
default it takes all models, which takes minutes; tests/test_mesh.py takes some.
"""

import argparse
import dataclasses
import json
import re
from pathlib import Path

import jax
import numpy as np

import genjax
from experiments import vae
from genjax.checkpoint import Checkpoints
from genjax.commands.plan import plan_of
from genjax.core import due_phases
from genjax.data.dataset import Split, resident
from genjax.data.feed import make_feed, with_mesh
from genjax.evaluation import evaluate_split, make_evaluate_seeds, make_split_values
from genjax.front.train import Training
from genjax.measures.features import make_features
from genjax.mesh import make_mesh, mesh_of, on_each_device
from genjax.sampling import in_chunks, make_generate
from genjax.training import copied, empty_seeds, init_seeds, iterate, make_train_step, placed_state, seed
from tests.model_cases import BATCH, MODELS
from tests.test_all_models import feed, float64_model_of
from tests.toys import grey_split, load, two_players

SEEDS = (3, 5)
GROUPS = ({0, 1, 2, 3}, {4, 5, 6, 7})


COMPILED = []
"""An entry for each program that was compiled."""
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: COMPILED.append(seconds) if event.endswith("backend_compile_duration") else None
)


def compared(name, mesh, steps=3):
    """Return the largest difference after a step from equal states, and facts about the programs of the steps:

    how many of them are compiled again, and how many of their operations join devices within and across groups.
    """
    model, alone = float64_model_of(name), feed(name, SEEDS)
    spread = with_mesh(alone, mesh)
    state, used = init_seeds(model, alone, SEEDS), {}
    largest, again = difference(init_seeds(model, spread, SEEDS), state), 0
    for step, item in zip(range(steps), alone.items(0), strict=False):
        due = due_phases(model.phases, step)
        both = [make_train_step(model, one, due) for one in (alone, spread)]
        given = placed_state(spread, copied(state))
        used[due] = both[1].lower(given, spread.arrays, item).compile().as_text()
        on_mesh, metrics = both[1](given, spread.arrays, item)
        state, expected = both[0](state, alone.arrays, item)
        largest = np.max([largest, difference(on_mesh, state), difference(metrics, expected)])
        before = len(COMPILED)
        jax.block_until_ready(both[1](on_mesh, spread.arrays, item))  # the state as it came out
        again += len(COMPILED) - before
    across, every = (sum(len(joined(text)) for text in used.values()) for joined in (across_groups, replica_groups))
    return {"difference": float(largest), "again": again, "across": across, "within": every - across}


def used(name):
    """Return how much a trained model on eight devices differs from one, and the part of the work that each does."""
    model, batch = float64_model_of(name), MODELS[name].examples(np.float64)
    batch = {key: array[:6] for key, array in batch.items()}  # does not divide by 8
    state, split = seed(init_seeds(model, feed(name, (3,)), (3,)), 0), Split(6, lambda rows: batch, batch)
    found, work, key = [], {}, jax.random.key(5)
    for devices in (8, 1):
        params, stats = on_each_device((state.params, state.stats), devices)
        generate = make_generate(model.generate, mesh_of(params))
        scores = make_split_values(model.evaluate, load)(params, stats, split, key)
        features = {} if model.embed is None else make_features(model.embed, load)(params, stats, split).features
        found.append(
            jax.tree.map(jax.numpy.asarray, (scores, features, in_chunks(generate, params, stats, batch, key)))
        )
        work[devices] = generate.lower(params, stats, batch, key).compile().cost_analysis()["flops"]
    return {"difference": difference(*found), "work": work[8] / max(work[1], 1)}


def difference(a, b):
    """Return the largest difference of two trees, relative where values are above 1; NaN where only one has NaN."""

    def of(x, y):
        if jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        both = np.isnan(x) & np.isnan(y)  # metrics of a phase that is not due
        return np.max(np.where(both, 0, np.abs(x - y) / np.maximum(np.abs(y), 1)), initial=0.0)

    return float(np.max(jax.tree.leaves(jax.tree.map(of, a, b))))


def replica_groups(text):
    """Return the groups of devices that each collective operation of a program joins, as sets."""
    found = []
    for line in text.splitlines():
        if not re.search(r"= .*(all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute)(-start)?\(", line):
            continue
        if listed := re.search(r"replica_groups=\{(\{[\d,]*\}(?:,\{[\d,]*\})*)\}", line):
            found.append([set(map(int, one.split(","))) for one in re.findall(r"\{([\d,]+)\}", listed[1])])
        elif iota := re.search(r"replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line):
            shape = tuple(map(int, iota[3].split(",")))
            devices = np.arange(np.prod(shape)).reshape(shape)
            devices = devices if iota[4] is None else devices.transpose(tuple(map(int, iota[4].split(","))))
            found.append([set(row.tolist()) for row in devices.reshape(int(iota[1]), int(iota[2]))])
        elif named := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line):
            sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", named[1])}
            joined = re.findall(r"'(\w+)'", named[2])
            devices = np.arange(np.prod(list(sizes.values()))).reshape(list(sizes.values()))
            last = np.moveaxis(devices, [list(sizes).index(name) for name in joined], range(-len(joined), 0))
            found.append([set(row) for row in last.reshape(-1, np.prod([sizes[name] for name in joined])).tolist()])
        elif pairs := re.search(r"source_target_pairs=\{(.*?)\}\}", line):
            found.append([set(map(int, one.split(","))) for one in re.findall(r"\{?(\d+,\d+)\}?", pairs[1])])
        else:
            found.append([set(range(8))])
    return found


def across_groups(text):
    """Return the collective operations that join devices of both groups."""
    return [groups for groups in replica_groups(text) if not all(any(one <= own for own in GROUPS) for one in groups)]


def front_door():
    """Return how many devices a call of `train` uses, and how much its states differ."""
    examples = (np.random.default_rng(0).random((60, 4, 4, 1)) < 0.3).astype(np.float32)
    model, data = genjax.nade((4, 4, 1), hidden=3), genjax.dataset(examples)
    states, used = [], {}
    for count in (1, 4, None):
        mesh = Training(model, data, 20, 4, None, count).feed((0,)).mesh
        used["default" if count is None else count] = 1 if mesh is None else mesh.size
        half = genjax.train(model, data, steps=2, batch_size=20, devices=count)
        states.append(genjax.train(model, data, steps=2, batch_size=20, devices=count, state=half))
    where = {device for leaf in jax.tree.leaves(states[-1]) for device in leaf.devices()}
    return {
        "devices": used,
        "difference": float(np.max([difference(one, states[0]) for one in states])),
        "where": len(where),
    }


def restored(folder):
    """Return of pairs of meshes whether a checkpoint that one has written is the same on the other."""
    model, alone = float64_model_of("nade"), feed("nade", SEEDS)
    feeds = {count: with_mesh(alone, make_mesh(len(SEEDS), BATCH, count)) for count in (1, 4, 8)}
    equal = {}
    for writer, reader in ((8, 1), (8, 4), (1, 8)):
        state = init_seeds(model, feeds[writer], SEEDS)
        checkpoints = Checkpoints(folder / f"{writer}-{reader}")
        checkpoints.save(0, state, {})
        found = checkpoints.restore_latest(empty_seeds(model, feeds[reader], SEEDS)).tree
        checkpoints.close()
        devices = {device for leaf in jax.tree.leaves(found) for device in leaf.devices()}
        equal[f"{writer} to {reader}"] = difference(found, state) == 0 and len(devices) == reader
    return equal


def three_seeds():
    """Return the largest difference of three seeds in a group of four devices to one device, by the way they train."""
    held = resident({name: array.astype(np.float64) for name, array in grey_split().arrays.items()})
    read = Split(held.size, held.read, None)
    found = {}
    for way, split, together, devices in (
        ("together", held, True, 4),
        ("side by side", held, False, 4),
        ("streamed", read, True, 4),
        ("uneven", read, False, 8),
    ):
        model, alone = two_players()._replace(seeds_together=together), make_feed(split, load, (3, 5, 7), 4)
        mesh = make_mesh(3, devices, devices)
        found[way] = difference(*(five_steps(model, feed) for feed in (with_mesh(alone, mesh), alone)))
    return found


def uneven_evaluation():
    """Return the largest difference of an evaluation of four sequences by eight devices from that by one."""
    model, own = float64_model_of("char rnn"), feed("char rnn", (3,))
    arrays = {name: array[:4] for name, array in MODELS["char rnn"].examples(np.float64).items()}
    few = Split(4, lambda rows: {name: array[rows] for name, array in arrays.items()}, arrays)
    found = []
    for mesh in (make_mesh(1, 8, 8), None):
        state = init_seeds(model, with_mesh(own, mesh), (3,))
        evaluate = make_evaluate_seeds(model.evaluate, load, mesh)
        found.append(evaluate_split(evaluate, state.params, state.stats, few, key=jax.random.key(0)))
    return difference(*found)


def planned():
    """Return of two seeds on four devices the seeds, the examples and the bytes of parameters on each, and of one."""
    options, found = vae.PRESETS["quick"], []
    for seeds, devices in (((0, 1), 4), ((0,), 1)):
        changed = dataclasses.replace(options, run=dataclasses.replace(options.run, seeds=seeds, devices=devices))
        plan = plan_of(vae.vae(changed), changed.run)
        found.append([plan.seeds, plan.batch, plan.params, plan.opt])
    return found


def five_steps(model, feed):
    *_, (_, state, _) = iterate(model, feed, init_seeds(model, feed, (3, 5, 7)), 5)
    return state


def refusals():
    """Return what is said of numbers of devices that cannot be."""
    said = {}
    for count in (9, 3):
        try:
            make_mesh(1, 20, count)
        except ValueError as error:
            said[count] = str(error)
    return said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, help="also write checkpoints, into this folder, and use the front door")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    found = {"refused": refusals()}
    if given.folder is not None:
        found |= {"front door": front_door(), "planned": planned()}
    jax.config.update("jax_enable_x64", True)
    if given.folder is not None:
        found |= {"checkpoint": restored(given.folder), "three seeds": three_seeds()}
        found |= {"uneven evaluation": uneven_evaluation()}
    mesh = make_mesh(len(SEEDS), BATCH, 8)
    for name in given.names or MODELS:
        found[name] = {**compared(name, mesh), "used": used(name)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
