SUMMARY = "The disk of boards that start by U-Boot"
DESCRIPTION = "Mounts the boot partition, where U-Boot keeps the slots' attempts, and lets the last partition fill the disk."
SECTION = "bootloaders"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

inherit allarch systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

SRC_URI = " \
    file://boot.mount \
    file://repart.d \
"

S = "${UNPACKDIR}"

SYSTEMD_SERVICE:${PN} = "boot.mount"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -D -m 0644 ${S}/boot.mount ${D}${systemd_system_unitdir}/boot.mount
    install -D -m 0644 -t ${D}${nonarch_libdir}/repart.d ${S}/repart.d/*.conf
}

FILES:${PN} += "${nonarch_libdir}/repart.d"
