#
# SPDX-License-Identifier: MIT
#
"""The install manifest: which units a set of files enables."""


def units(path, sets):
    """The units that systemd/manifest enables for these sets, in the order of the file."""
    found = []
    with open(path, encoding="utf-8") as manifest:
        for line in manifest:
            fields = line.split()
            if len(fields) == 5 and fields[0] in sets and fields[1] == "enable":
                found.append(fields[3])
    return found
