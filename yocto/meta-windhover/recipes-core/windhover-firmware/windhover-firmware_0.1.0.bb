SUMMARY = "Turns a board into a Windhover camera computer"
DESCRIPTION = "Mounts, watchdog, network, consoles and the health gate of updates, as the install manifest lists them."
SECTION = "base"

inherit windhover_install allarch

WINDHOVER_SETS = "firmware"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

FILES:${PN} += "/data"

# findmnt, growfs and fsck of what windhover.service and its neighbours call; the last three of "windhover storage format".
RDEPENDS:${PN} = " \
    e2fsprogs-e2fsck \
    e2fsprogs-mke2fs \
    util-linux-findmnt \
    util-linux-fsck \
    util-linux-mount \
    util-linux-umount \
    util-linux-blkid \
    util-linux-lsblk \
    util-linux-wipefs \
    windhover \
"
RRECOMMENDS:${PN} = " \
    kernel-module-libcomposite \
    kernel-module-usb-f-acm \
    kernel-module-usb-f-ncm \
"
