#
# SPDX-License-Identifier: MIT
#
"""What the recipes of this layer read from the repository around it, in place of lists of their own."""

BBIMPORTS = ["cargo_lock", "manifest"]
