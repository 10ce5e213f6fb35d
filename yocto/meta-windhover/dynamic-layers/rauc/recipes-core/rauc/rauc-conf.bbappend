FILESEXTRAPATHS:prepend:windhover-distro := "${THISDIR}/files:"

# system.conf names the machine and its partitions.
PACKAGE_ARCH:windhover-distro = "${MACHINE_ARCH}"

do_install:prepend:windhover-distro() {
    sed -i -e 's/@MACHINE@/${MACHINE}/' -e 's/@BOOTLOADER@/${WINDHOVER_BOOTLOADER}/' \
        -e 's/@SLOT_A@/${WINDHOVER_SLOT_A}/' -e 's/@SLOT_B@/${WINDHOVER_SLOT_B}/' \
        ${UNPACKDIR}/system.conf
}
