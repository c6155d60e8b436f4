"""One of two processes of four devices that train together: python -m tests.hosts_case PROCESS PORT FOLDER [NAME...].

Each process is started with XLA_FLAGS=--xla_force_host_platform_device_count=4 and prints a line of JSON. FOLDER holds
a checkpoint that tests/test_hosts.py has written in a process with one device.
"""

import argparse
import json
from pathlib import Path

from genjax.runs.options import Run
from genjax.runs.processes import meet, part

NAMES = ("nade",)
"""Models of the suite; the statistics of dcgan's batches and others can be named."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("process", type=int)
    parser.add_argument("port")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=NAMES)
    given = parser.parse_args()
    address = f"localhost:{given.port}"
    meet(Run(workdir=given.folder, distributed=True, coordinator=address, processes=2, process_id=given.process))
    from tests.hosts_steps import shown  # starts JAX, which must know of the other process by then

    found = shown(given.folder, given.names)
    part()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
