# Takes what a recipe needs from the repository that this layer is part of.

FILESEXTRAPATHS:prepend := "${WINDHOVER_TOP}:"

LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = " \
    file://LICENSE-MIT;md5=184730beecf363524372d6e251c759c6 \
    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
"

SRC_URI += " \
    file://LICENSE-MIT;subdir=${BP} \
    file://LICENSE-APACHE;subdir=${BP} \
    file://systemd;subdir=${BP} \
    file://tools;subdir=${BP} \
"
