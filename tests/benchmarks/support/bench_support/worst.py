"""Collections of one check in a process of its own, and the most memory that they took.

`python worst.py CLASS INSTANCE COLLECTIONS`: the class as `module:name`, the instance in JSON. One line of JSON on
standard output: resident memory before the first collection and the most there was, in MB, and the last error.
"""

from __future__ import annotations

import gc
import json
import sys
from importlib import import_module
from typing import Any

from clients import memory_mb


def main(address: str, instance: str, collections: str) -> dict[str, Any]:
    module, _, name = address.partition(":")
    check = getattr(import_module(module), name)(name, {}, [json.loads(instance)])
    # The stub would keep every sample of every collection; the Agent aggregates them outside of Python.
    check.gauge = lambda *_, **__: None
    check.load_options()
    check.transport.pause = 0.001
    gc.collect()
    before = memory_mb("VmRSS")
    for _ in range(int(collections)):
        error = check.run()
    message = json.loads(error)[0]["message"] if error else ""
    return {"before_mb": before, "peak_mb": memory_mb("VmHWM"), "error": message, "warnings": check.get_warnings()}


if __name__ == "__main__":
    output = sys.stdout
    sys.stdout = sys.stderr
    output.write(json.dumps(main(*sys.argv[1:4])) + "\n")
