# Fetches the crates that the repository's Cargo.lock names. There is no second list of them: the lock file is read when the
# recipe is parsed, and parsed again when it changes.

python () {
    lock = os.path.join(d.getVar('WINDHOVER_TOP'), 'Cargo.lock')
    bb.parse.mark_dependency(d, lock)
    uris = []
    for uri, name, checksum in windhover.cargo_lock.crates(lock):
        uris.append(uri)
        d.setVarFlag('SRC_URI', name + '.sha256sum', checksum)
    d.appendVar('SRC_URI', ' ' + ' '.join(uris))
}
