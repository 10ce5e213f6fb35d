# Compares kas files with kas' own schema, and with the rules of this repository.
"""kas_files.py FOLDER: every problem on a line of its own; exit 1 if there is one. Runs in the Python that has kas."""

import pathlib
import re
import sys

import jsonschema
import yaml
from kas.configschema import CONFIGSCHEMA

# The machines that the README speaks of, by the file that builds them.
MACHINES = {
    "qemuarm64.yml": "qemuarm64",
    "raspberrypi5.yml": "raspberrypi5",
    "jetson-orin-nano-nvme.yml": "jetson-orin-nano-devkit-nvme",
    "jetson-agx-orin.yml": "jetson-agx-orin-devkit",
    "jetson-orin-nx.yml": "p3768-0000-p3767-0000",
}


def problems_of(path, top, text):
    """What is wrong with one file."""
    config = yaml.safe_load(text)
    for error in jsonschema.Draft7Validator(CONFIGSCHEMA).iter_errors(config):
        yield "%s: %s" % ("/".join(str(part) for part in error.path), error.message)
    for include in config.get("header", {}).get("includes", []):
        if not (top / include).is_file():
            yield "includes %s, which is not there" % include
    for name, repository in (config.get("repos") or {}).items():
        if not (repository or {}).get("url"):
            continue
        if not re.fullmatch("[0-9a-f]{40}", repository.get("commit") or ""):
            yield "repository %s is not held at a commit" % name
        if not repository["url"].startswith("https://"):
            yield "repository %s is not fetched by https" % name
    wanted = MACHINES.get(path.name) if path.parent.name == "kas" else None
    if config.get("machine") != wanted:
        yield "machine is %s, not %s" % (config.get("machine"), wanted)


def main(folder):
    """Checks every file below the folder, and that the checks see planted faults."""
    folder = pathlib.Path(folder)
    top = folder.resolve().parent.parent
    files = sorted(folder.rglob("*.yml"))
    found = ["%s: %s" % (path, problem) for path in files for problem in problems_of(path, top, path.read_text())]
    found += ["%s is missing" % name for name in MACHINES if not (folder / name).is_file()]
    planted = "header: {version: 19, includes: [no.yml]}\nrepos: {x: {url: 'git://x', commit: main}}\nmachin: y\nmachine: z\n"
    seen = len(list(problems_of(folder / "planted.yml", top, planted)))
    if seen < 5:
        found.append("of five planted faults %d are seen" % seen)
    print("\n".join(found) or "%d files are good" % len(files))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
