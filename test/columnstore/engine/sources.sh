# Which packages are asked for, and where: at the mirror that this machine's own apt uses. To be sourced.

# What ColumnStore and the server need to be compiled. libfmt-dev: without it the build wants to download fmt.
build_packages=(
  build-essential bison cmake flex gawk pkg-config
  libaio-dev libcurl4-openssl-dev libfmt-dev libjemalloc-dev liblz4-dev libncurses-dev libpam0g-dev libpcre2-dev
  libreadline-dev libsnappy-dev libssl-dev liburing-dev libxml2-dev libzstd-dev zlib1g-dev
  libboost-{atomic,chrono,date-time,filesystem,regex,system,thread}-dev
)

# The release whose source package holds ColumnStore 6.4, and whose libraries the list above names.
release=bookworm

# URIs of the suites "$release$1" (main) in this machine's apt configuration, in whichever of its formats they are written.
mirrors() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$release$1" '$1 == suite && $2 == "main" { sub("/$", "", $3); print $3 }' | sort -u
}

need_mirror() {
  [ -n "$(mirrors '')" ] && return
  fail "the engine is built on Debian $release, and this machine's apt knows no mirror of it; name an image instead: STILLPOINT_COLUMNSTORE_IMAGE=name"
}

keyring() {
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg
  [ ! -e $keys ] || printf '[signed-by=%s] ' $keys
}

# apt with lists and settings of its own: the machine's do not have to offer source packages, and stay as they are.
private_apt() {
  mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
  mirrors '' | sed "s|^|deb-src $(keyring)|; s|\$| $release main|" >"$cache/apt/sources.list"
  apt-get -q -o Dir::Etc::SourceList="$cache/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$cache/apt/lists" -o Dir::Cache="$cache/apt" -o APT::Sandbox::User=root "$@"
}
