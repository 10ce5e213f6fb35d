SUMMARY = "Windhover for boards that fly: no password, no shell, read-only root"

require windhover-image.inc
