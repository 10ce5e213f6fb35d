FILESEXTRAPATHS:prepend:windhover-distro := "${THISDIR}/files:"

SRC_URI:append:windhover-distro = " file://windhover-nvme.xml"

PARTITION_FILE_EXTERNAL:windhover-distro = "${UNPACKDIR}/windhover-nvme.xml"
