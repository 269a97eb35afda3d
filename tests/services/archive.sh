# Fetches from any Debian suite without a change to this machine's apt; sourced after service.sh.
# The mirror is the one that this machine's apt uses; apt checks the signatures.

mirror() {
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$(. /etc/os-release && echo "$VERSION_CODENAME")" \
            '$1 == "Debian" && $2 == "main" && $3 == codename { print $4; exit }'
}

# open_archive DIRECTORY TYPE/SUITE...: from then on `archive` is an apt-get that knows these sources
# (deb/trixie, deb-src/bookworm) and keeps all it has in the directory.
open_archive() {
    local work=$1 uri source
    shift
    uri=$(mirror)
    [ -n "$uri" ] || die "no Debian mirror among this machine's apt sources"
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    : >"$work/status"
    for source in "$@"; do
        echo "${source%/*} [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri ${source#*/} main"
    done >"$work/sources.list"
    ARCHIVE=(
        -o "Dir::State=$work" -o "Dir::State::status=$work/status" -o "Dir::Cache=$work"
        -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o "APT::Sandbox::User=$(id -un)"
    )
    archive update -qq
}

archive() { apt-get "${ARCHIVE[@]}" "$@"; }
