SUMMARY = "Camera daemon of a drone: live video and recordings"
DESCRIPTION = "Turns a camera into low-latency RTSP video, recordings that survive a power cut, and snapshots."
SECTION = "multimedia"

inherit cargo pkgconfig useradd windhover_install windhover_cargo_lock

# clang: the v4l crate makes its bindings from the kernel's headers.
DEPENDS += " \
    clang-native \
    glib-2.0 \
    gstreamer1.0 \
    gstreamer1.0-plugins-base \
    gstreamer1.0-rtsp-server \
"

SRC_URI += " \
    file://Cargo.toml;subdir=${BP} \
    file://Cargo.lock;subdir=${BP} \
    file://build.rs;subdir=${BP} \
    file://README.md;subdir=${BP} \
    file://LICENSE;subdir=${BP} \
    file://src;subdir=${BP} \
    file://board;subdir=${BP} \
"

export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
export BINDGEN_EXTRA_CLANG_ARGS = "--target=${TARGET_SYS} --sysroot=${STAGING_DIR_TARGET}"

CARGO_BUILD_FLAGS:append = " --bin windhover"

do_compile:prepend() {
    # Names the commit that was compiled. The sources' checksums decide whether anything is compiled at all.
    WINDHOVER_REVISION=$(git -C ${WINDHOVER_TOP} rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
    export WINDHOVER_REVISION
}

WINDHOVER_SETS = "daemon"
WINDHOVER_BINARY = "${B}/target/${CARGO_TARGET_SUBDIR}/windhover"

do_install() {
    windhover_install_do_install
}

# systemd/conf/sysusers.conf says the same to systems whose root can be written at boot; a test compares.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system render"
USERADD_PARAM:${PN} = " \
    --system --user-group --no-create-home --home-dir ${localstatedir}/lib/windhover --shell /sbin/nologin \
    --comment Windhover --groups video,render,dialout windhover \
"

# The GStreamer plugins whose elements the daemon asks for by name, and GLib's TLS. Encoders are the packagegroup's matter.
RDEPENDS:${PN} += " \
    glib-networking \
    gstreamer1.0 \
    gstreamer1.0-plugins-bad-videoparsersbad \
    gstreamer1.0-plugins-base-app \
    gstreamer1.0-plugins-base-playback \
    gstreamer1.0-plugins-base-typefindfunctions \
    gstreamer1.0-plugins-base-videoconvertscale \
    gstreamer1.0-plugins-base-videotestsrc \
    gstreamer1.0-plugins-good-isomp4 \
    gstreamer1.0-plugins-good-jpeg \
    gstreamer1.0-plugins-good-matroska \
    gstreamer1.0-plugins-good-rtp \
    gstreamer1.0-plugins-good-rtpmanager \
    gstreamer1.0-plugins-good-udp \
    gstreamer1.0-plugins-good-video4linux2 \
    gstreamer1.0-plugins-good-videofilter \
"
