import pkgutil
import subprocess
import sys

import genjax.losses

BLOCKED = "jaxtyping beartype einops flax orbax tensorflow_datasets grain sklearn matplotlib rich tyro PIL tensorboardX"


def test_losses_need_nothing_but_jax_and_optax():
    modules = [f"genjax.losses.{module.name}" for module in pkgutil.iter_modules(genjax.losses.__path__)]
    assert "genjax.losses.likelihood" in modules
    code = f"""
import sys
for name in {BLOCKED.split()}:
    sys.modules[name] = None
import {", ".join(modules)}
others = {{name.split(".")[1] for name in sys.modules if name.startswith("genjax.")}}
assert others == {{"losses"}}, others
"""
    subprocess.run([sys.executable, "-c", code], check=True)
