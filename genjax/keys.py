"""Numbers that are folded into random keys: all differ, so that no two uses of a key share random numbers.

Into the root key of a seed go the number of a step, which is below 2^31, and INIT. Into the key of a step go the number
of a phase and DATA; into the key of a phase, an evaluation or a sample goes CHANGE. `jax.random.split(key, n)[i]` is
`fold_in(key, i)`, so that a key is either split or folded with small numbers, not both.
"""

INIT = 2**32 - 1
"""For the initialization of a seed's networks."""

EVALUATION = 2**32 - 2
"""For the key of all evaluations."""

DATA = 2**31 - 1
"""For the batch of a step."""

CHANGE = 2**31 - 2
"""For the random numbers with which a factory changes a batch."""
