# From the distribution's source package to the programs of a ColumnStore node. To be sourced, by ./dev: uses its functions.
#
# Each step is told from what it makes, which appears under its name only when it is complete; a run that was interrupted goes on with the
# step it was in. In the cache directory:
#
#   *.orig.tar.gz  ->  src  ->  build  ->  stage  ->  runtime, version
#
# Only the last two are needed once they are there. To build anew, of a newer source package say, remove the directory.

# Storage engines and options that a test of backups has no use for; they would cost a third of the time.
left_out=(
  PLUGIN_{AUTH_GSSAPI,AUTH_PAM,AUTH_PAM_V1,CONNECT,CRACKLIB_PASSWORD_CHECK,GSSAPI,HASHICORP_KEY_MANAGEMENT,MROONGA,OQGRAPH,ROCKSDB,S3,SPHINX,SPIDER}
)

fetch_source() {
  need_mirror
  say "fetching the source package of mariadb"
  private_apt update >&2
  (cd "$cache" && private_apt source --download-only mariadb >&2)
}

unpack_source() {
  local archives=("$cache"/mariadb_*.orig.tar.gz)
  [ -e "${archives[-1]}" ] || { fetch_source && archives=("$cache"/mariadb_*.orig.tar.gz); }
  say "unpacking ${archives[-1]}"
  rm -rf "$cache/src.new"
  mkdir "$cache/src.new"
  tar -xzf "${archives[-1]}" -C "$cache/src.new" --strip-components=1
  mv "$cache/src.new" "$cache/src"
}

# Unix Makefiles: with Ninja, two rules of this source tree make the same file. -O1 without debug information: half the time to compile.
configure_engine() {
  local optimise='-O1 -g0' off
  local options=(
    -DBUILD_CONFIG=mysql_release -DDEB=$release -DMYSQL_MAINTAINER_MODE=OFF
    -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_C_FLAGS=$optimise" "-DCMAKE_CXX_FLAGS=$optimise -Wno-error"
    "-DCMAKE_C_FLAGS_RELWITHDEBINFO=$optimise -DNDEBUG -DDBUG_OFF" "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=$optimise -DNDEBUG -DDBUG_OFF"
    -DPLUGIN_COLUMNSTORE=YES -DWITH_LIBFMT=system -DWITH_PCRE=system -DWITH_SSL=system
    -DWITH_WSREP=OFF -DWITH_EMBEDDED_SERVER=OFF -DWITH_UNIT_TESTS=OFF -DCONC_WITH_UNIT_TEST=OFF
  )
  for off in "${left_out[@]}"; do options+=("-D$off=NO"); done
  say "configuring; log: $cache/configure.log"
  logged configure cmake -G 'Unix Makefiles' -S "$cache/src" -B "$cache/build" "${options[@]}"
}

compile_engine() {
  say "compiling, about 40 minutes on two processors; log: $cache/make.log"
  logged make nice make -C "$cache/build" -j "$(nproc)"
  rm -rf "$cache/stage.new"
  logged install make -C "$cache/build" install DESTDIR="$cache/stage.new"
  mv "$cache/stage.new" "$cache/stage"
}

# What a node runs: without tests, headers, manuals, static libraries and symbols; a tenth of the size. Both data directories have to be
# made in the container itself: a directory that comes from an image cannot be renamed there.
trim_stage() {
  local made=$cache/runtime.new
  rm -rf "$made"
  cp -a "$cache/stage" "$made"
  rm -rf "$made"/usr/{include,sql-bench,share/{aclocal,doc,man,mysql/mysql-test}} "$made"/etc/{init.d,logrotate.d} "$made"/var/lib/{mysql,columnstore}
  find "$made" -name '*.a' -delete
  find "$made" -type f \( -perm -u+x -o -name '*.so*' \) -exec sh -c 'strip --strip-unneeded "$@" 2>/dev/null || true' sh {} +
  engine_version >"$cache/version"
  mv "$made" "$cache/runtime"
}

# Of the server and of ColumnStore: 10.11.18-6.4.12.
engine_version() {
  local part=VERSION_
  number() { sed -n "s/^$2=//p" "$1" | head -1; }
  server() { number "$cache/src/VERSION" "MYSQL_$part$1"; }
  engine() { number "$cache/src/storage/columnstore/columnstore/VERSION" "COLUMNSTORE_$part$1"; }
  echo "$(server MAJOR).$(server MINOR).$(server PATCH)-$(engine MAJOR).$(engine MINOR).$(engine PATCH)"
}

logged() {
  local log=$cache/$1.log
  shift
  "$@" >"$log" 2>&1 </dev/null || { tail -20 "$log" >&2 && fail "$1 failed; see $log"; }
}

build_engine() {
  [ ! -e "$cache/runtime" ] || return 0
  [ -e "$cache/stage" ] || {
    install_packages "${build_packages[@]}"
    [ -e "$cache/src" ] || unpack_source
    [ -e "$cache/build/Makefile" ] || configure_engine
    compile_engine
  }
  trim_stage
}
