# Root file systems of images, made of packages of this Debian release; sourced after archive.sh.

# root_filesystem NAME PACKAGE...: prints the path of a tar in the cache, made once.
root_filesystem() {
    local archive work name=$1
    shift
    archive=$CACHE/$name-$(. /etc/os-release && echo "$VERSION_CODENAME").tar
    if [ ! -e "$archive" ]; then
        say "making the root file system $name"
        work=$(mktemp -d "$CACHE/$name.XXXXXX")
        # shellcheck disable=SC2064
        trap "'${AS_ROOT[*]:-env}' rm -rf '$work'" RETURN
        # In two steps: debootstrap itself cannot order what these depend on.
        "${AS_ROOT[@]}" debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" \
            "$work/root" "$(mirror)" >>"$work/log" 2>&1 &&
            "${AS_ROOT[@]}" chroot "$work/root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
                --no-install-recommends "$@" >>"$work/log" 2>&1 ||
            die "debootstrap failed: $(tail -n 2 "$work/log")"
        "${AS_ROOT[@]}" rm -rf "$work/root/var/cache/apt" "$work/root/var/lib/apt/lists" "$work/root/usr/share/doc"
        "${AS_ROOT[@]}" tar --create --numeric-owner --one-file-system --directory "$work/root" \
            --file "$work/root.tar" .
        mv "$work/root.tar" "$archive"
    fi
    echo "$archive"
}
