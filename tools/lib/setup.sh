# shellcheck shell=bash
# What the tools share: finds what this machine lacks, installs it from the distribution, finds a new enough Rust.
# Sourced, never run. For Debian 12 and 13 and Ubuntu 24.04; elsewhere it says what is needed and stops.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# The daemon needs these to run. ugly: x264enc; bad: openh264enc, h264parse; good: v4l2src, jpegenc, RTP payloaders;
# glib-networking: RTSP over TLS.
# The libraries themselves come with the development packages below.
# shellcheck disable=SC2034 # used by the tools that source this file
packages_run=(gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  glib-networking)
# Building needs these too. libclang: the v4l crate generates its bindings from the kernel's headers.
# shellcheck disable=SC2034 # as above
packages_build=(build-essential pkg-config libclang-dev ca-certificates git
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev)
# What reads the firmware's files: units, bundles, recipes. (squashfs-tools: bundles.)
packages_firmware=(systemd rauc squashfs-tools openssl python3 python3-venv)
# Tests watch and measure with these. libav: the decoder of the test viewers.
# shellcheck disable=SC2034 # as above
packages_test=(gstreamer1.0-libav gstreamer1.0-tools ffmpeg curl shellcheck "${packages_firmware[@]}")

say() { printf '\n\033[1m== %s\033[0m\n' "$*" >&2; }
stop() {
  printf '\n%s\n' "$*" >&2
  exit 1
}

# Prints the comment at the head of a tool as its help.
help_of() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# True if the package lists on this machine know the package.
offered() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -Eq '^ *Candidate: [^(]'; }

# Runs a command as root: directly, or by sudo where that can ask or needs not.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    sudo "$@"
  else
    return 126
  fi
}

# Installs those of the packages that are missing. Says nothing and asks nobody when nothing is.
need_packages() {
  local missing=() unknown=() package
  if ! command -v dpkg-query >/dev/null; then
    printf 'This is no Debian or Ubuntu: what these packages hold must be there already:\n  %s\n' "$*" >&2
    return 0
  fi
  for package in "$@"; do
    installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  for package in "${missing[@]}"; do
    offered "$package" || unknown+=("$package")
  done
  as_root true || stop "Packages are missing, and this is not root and has no usable sudo. Ask an administrator to run

  apt-get update && apt-get install --no-install-recommends ${missing[*]}

and try again.$(rust_note "${missing[@]}")"
  say "installing packages: ${missing[*]}"
  # Lists are fetched only where they lack something, or are too old to install from.
  [ ${#unknown[@]} -eq 0 ] || as_root apt-get update
  install_packages "${missing[@]}" || { as_root apt-get update && install_packages "${missing[@]}"; } ||
    stop "apt-get could not install: ${missing[*]}"
}

install_packages() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# The Rust that Cargo.toml asks for: 1.94.
rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$top/Cargo.toml"; }

# True if this cargo runs and is new enough.
good_cargo() {
  local have
  have=$("$1" --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ -n "$have" ] && printf '%s\n%s\n' "$(rust_wanted)" "$have" | sort --version-sort --check=quiet
}

# For whoever has to ask an administrator: names Rust at once and not after the packages.
rust_note() {
  [[ " $* " != *" rustup "* ]] || return 0
  good_cargo cargo || good_cargo "$HOME/.cargo/bin/cargo" || command -v rustup >/dev/null ||
    [ -x "$HOME/.cargo/bin/rustup" ] || printf '\n%s\n%s\n' \
    "Rust $(rust_wanted) or newer is missing too. On Debian 13 and Ubuntu 24.04 add the package rustup to the above;" \
    "elsewhere install it yourself, without root, as https://rust-lang.org/tools/install says."
}

# Puts a new enough cargo on PATH: the one that is there, the user's own, or the distribution's.
need_rust() {
  good_cargo cargo && return
  if good_cargo "$HOME/.cargo/bin/cargo"; then
    PATH="$HOME/.cargo/bin:$PATH"
    return
  fi
  local have trouble="this distribution offers none"
  have=$(cargo --version 2>/dev/null) || have="none"
  rust_from_rustup || rust_from_packages || stop "Rust $(rust_wanted) or newer is needed. Here: $have; $trouble.
Install it as https://rust-lang.org/tools/install says, and try again."
}

# rustup, installed already or as a package of the distribution (Debian 13, Ubuntu 24.04), fetches a toolchain.
rust_from_rustup() {
  command -v rustup >/dev/null || PATH="$PATH:$HOME/.cargo/bin"
  if ! command -v rustup >/dev/null; then
    command -v apt-cache >/dev/null || return 1
    offered rustup || { as_root apt-get update && offered rustup; } || return 1
    need_packages rustup
  fi
  say "fetching the newest stable Rust with rustup"
  if ! rustup toolchain install stable --profile minimal --component rustfmt --component clippy; then
    # Read by need_rust, which called this.
    trouble="rustup could not fetch one, for the reason it gives above"
    return 1
  fi
  export RUSTUP_TOOLCHAIN=stable
  good_cargo cargo
}

# A package new enough: plain `cargo`, or one with its version in its name (Ubuntu: cargo-1.94).
rust_from_packages() {
  command -v apt-cache >/dev/null || return 1
  local version
  version=$(LC_ALL=C apt-cache policy cargo | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
  # Distributions number cargo as Rust since 1.66; before, it was 0.x.
  if printf '%s\n%s\n' "$(rust_wanted)" "$version" | sort --version-sort --check=quiet; then
    need_packages cargo rustc
    good_cargo cargo && return
  fi
  version=$(apt-cache pkgnames cargo-1. | sed -n 's/^cargo-\(1\.[0-9]*\)$/\1/p' | sort --version-sort | tail -n 1)
  [ -n "$version" ] || return 1
  printf '%s\n%s\n' "$(rust_wanted)" "$version" | sort --version-sort --check=quiet || return 1
  need_packages "cargo-$version" "rustc-$version"
  PATH="/usr/lib/rust-$version/bin:$PATH"
  good_cargo cargo
}

rust_lints_there() { cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; }

# The formatter and the linter, which some distributions pack apart.
need_rust_lints() {
  rust_lints_there && return
  if command -v rustup >/dev/null; then
    rustup component add rustfmt clippy
  elif offered rustfmt && offered rust-clippy; then
    need_packages rustfmt rust-clippy
  fi
  rust_lints_there ||
    stop "cargo fmt or cargo clippy is missing; they come with rustup, or as packages rustfmt and rust-clippy."
}

# Where cargo puts what it builds.
target_folder() {
  cargo metadata --locked --no-deps --format-version 1 --manifest-path "$top/Cargo.toml" |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# Runs one stage of a longer run: its name before, its time after; ends everything where it fails.
stage() {
  local name=$1 begin=$SECONDS
  shift
  say "$name"
  if "$@"; then
    printf -- '-- %s: passed in %s s\n' "$name" $((SECONDS - begin)) >&2
  else
    printf -- '-- %s: FAILED after %s s\n' "$name" $((SECONDS - begin)) >&2
    exit 1
  fi
}
