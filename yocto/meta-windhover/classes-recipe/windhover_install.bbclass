# Installs sets of the install manifest (systemd/manifest) and enables their units.

inherit windhover_source systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

# Names of sets, separated by spaces.
WINDHOVER_SETS ?= ""
WINDHOVER_MANIFEST = "${WINDHOVER_TOP}/systemd/manifest"
WINDHOVER_BINARY ?= ""

SYSTEMD_SERVICE:${PN} = "${@' '.join(windhover.manifest.units(d.getVar('WINDHOVER_MANIFEST'), d.getVar('WINDHOVER_SETS').split()))}"

python () {
    bb.parse.mark_dependency(d, d.getVar('WINDHOVER_MANIFEST'))
}

windhover_install_do_install() {
    set --
    for set in ${WINDHOVER_SETS}; do
        set -- "$@" --set "$set"
    done
    if [ -n "${WINDHOVER_BINARY}" ]; then
        set -- "$@" --binary "${WINDHOVER_BINARY}"
    fi
    ${S}/tools/install --destdir ${D} "$@"
}

EXPORT_FUNCTIONS do_install

FILES:${PN} += "${nonarch_libdir} ${nonarch_base_libdir}/udev"
