SUMMARY = "Logins on the serial ports of a development image"
DESCRIPTION = "The file whose presence lets getty run, and the login on the second port of the USB gadget."
SECTION = "base"

inherit windhover_install allarch

WINDHOVER_SETS = "dev"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

FILES:${PN} += "${datadir}/windhover"
