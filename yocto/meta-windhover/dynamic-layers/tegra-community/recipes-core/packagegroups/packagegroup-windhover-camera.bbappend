RDEPENDS:${PN}:append:tegra = "${@bb.utils.contains('WINDHOVER_DEEPSTREAM', '1', ' deepstream-9.1', '', d)}"
