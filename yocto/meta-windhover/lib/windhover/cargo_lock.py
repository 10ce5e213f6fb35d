#
# SPDX-License-Identifier: MIT
#
"""The crates that Cargo.lock names, as bitbake fetches them."""

import re

REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def packages(text):
    """Each [[package]] of a Cargo.lock as a dictionary of its one-line keys."""
    found = []
    for block in text.split("[[package]]")[1:]:
        found.append(dict(re.findall(r'^(name|version|source|checksum) = "([^"]*)"$', block, re.MULTILINE)))
    return found


def crates(path):
    """(URI, name of the checksum flag, SHA-256) of each crate that is fetched, in the order of the file."""
    with open(path, encoding="utf-8") as lock:
        text = lock.read()
    found = []
    for package in packages(text):
        source = package.get("source")
        if source is None:
            # A package of this repository.
            continue
        if source != REGISTRY:
            raise ValueError("%s: %s comes from %s, which bitbake does not fetch" % (path, package["name"], source))
        name = "%s-%s" % (package["name"], package["version"])
        uri = "crate://crates.io/%s/%s" % (package["name"], package["version"])
        found.append((uri, name, package["checksum"]))
    return found
