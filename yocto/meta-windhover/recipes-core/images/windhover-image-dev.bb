SUMMARY = "Windhover for the desk: a shell on serial ports and over SSH, without a password"

require windhover-image.inc

IMAGE_FEATURES += "allow-empty-password allow-root-login empty-root-password ssh-server-openssh tools-debug"
IMAGE_INSTALL:append = " v4l-utils windhover-login"
