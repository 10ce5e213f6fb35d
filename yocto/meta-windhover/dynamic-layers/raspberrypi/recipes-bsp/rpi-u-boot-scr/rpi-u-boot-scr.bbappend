FILESEXTRAPATHS:prepend:windhover-distro := "${THISDIR}/../../../../recipes-bsp/u-boot/files:"

SRC_URI:append:windhover-distro = " file://windhover-boot.cmd.in"

do_compile:prepend:windhover-distro() {
    sed -e 's/@@PART_A@@/2/' -e 's/@@PART_B@@/3/' \
        -e 's/@@SLOT_A@@/${WINDHOVER_SLOT_A}/' -e 's/@@SLOT_B@@/${WINDHOVER_SLOT_B}/' \
        -e 's/@@DEVICE@@/mmc 0/g' -e 's/@@ARGUMENTS@@//' \
        -e 's/@@KERNEL@@/${KERNEL_IMAGETYPE}/' -e 's/@@BOOT@@/${KERNEL_BOOTCMD}/' \
        ${UNPACKDIR}/windhover-boot.cmd.in > ${UNPACKDIR}/boot.cmd.in
}
