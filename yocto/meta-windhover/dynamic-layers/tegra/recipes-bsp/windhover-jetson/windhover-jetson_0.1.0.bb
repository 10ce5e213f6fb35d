SUMMARY = "What Windhover needs on NVIDIA Jetson"
DESCRIPTION = "RAUC's boot backend over nvbootctrl, the gate before a slot is confirmed, and the unit's drop-in."
SECTION = "base"

inherit windhover_install allarch

WINDHOVER_SETS = "jetson nvbootctrl"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

# chattr: UEFI variables that the kernel does not know are immutable.
RDEPENDS:${PN} = " \
    e2fsprogs \
    windhover \
"
