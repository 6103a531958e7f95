# shellcheck shell=bash
# Sourced by start, rotator, test and check: where things are, which Python, and a virtual environment that is ready.
#   ROTATOR_PYTHON   the interpreter to use, instead of looking for one
#   ROTATOR_VENV     the virtual environment, instead of .venv in the checkout
# Written for bash 3.2, which macOS still has.

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${ROTATOR_VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac

note() { printf 'rotator: %s\n' "$*" >&2; }
fail() { note "$@"; exit 1; }

# suitable PYTHON: it runs, is CPython 3.12 or newer, and can make environments. Only running it shows that: a shim of a
# version manager stands on PATH whether or not there is a Python behind it, and Debian's lacks ensurepip at first.
suitable() {
  "$1" -c 'import sys, ensurepip, venv
sys.exit(sys.version_info < (3, 12) or sys.implementation.name != "cpython")' </dev/null >/dev/null 2>&1
}

# What may be a Python, best first, one a line.
candidates() {
  printf '%s\n' python3.14 python3.13 python3.12 python3 python
  if command -v uv >/dev/null 2>&1; then uv python find '>=3.12' 2>/dev/null || true; fi
  local versions=${PYENV_ROOT:-${HOME:-}/.pyenv}/versions version
  for version in "$versions"/3.*; do printf '%s\n' "${version##*/}"; done |
    sort -t. -k1,1nr -k2,2nr -k3,3nr |
    while IFS= read -r version; do printf '%s\n' "$versions/$version/bin/python"; done
}

# Prints a suitable Python, or says what to install and fails.
find_python() {
  local candidate
  if [ -n "${ROTATOR_PYTHON:-}" ]; then
    suitable "$ROTATOR_PYTHON" || fail "ROTATOR_PYTHON=$ROTATOR_PYTHON is not a Python 3.12 or newer that runs"
    printf '%s\n' "$ROTATOR_PYTHON"
    return
  fi
  while IFS= read -r candidate; do
    if suitable "$candidate"; then printf '%s\n' "$candidate"; return; fi
  done < <(candidates)
  explain_missing_python
}

explain_missing_python() {
  local candidate says
  note "no Python 3.12 or newer was found. What was tried:"
  while IFS= read -r candidate; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    says=$("$candidate" --version 2>&1 </dev/null | head -n 1) || says="does not run: $says"
    printf '  %s: %s\n' "$candidate" "$says" >&2
  done < <(candidates)
  cat >&2 <<'TEXT'
Install one of these, or set ROTATOR_PYTHON to the path of one you have:
  Debian, Ubuntu   apt-get install python3.13 python3.13-venv
  Fedora           dnf install python3.13
  macOS            brew install python@3.13
  with uv          uv python install 3.13
  with pyenv       pyenv install 3.13
TEXT
  exit 1
}

# What an installation depends on: the place, the interpreter and the dependencies. No Python is started for it.
fingerprint() { { printf '%s\n' "$venv"; cat "$root/pyproject.toml" "$venv/pyvenv.cfg"; } | cksum; }

# installed WHAT: nothing changed since `prepare WHAT`.
installed() {
  [ -x "$venv/bin/python" ] && [ -r "$venv/rotator-$1.stamp" ] && [ ! -e "$venv.unfinished" ] &&
    [ "$(cat "$venv/rotator-$1.stamp")" = "$(fingerprint)" ]
}

# A usable environment that is there already: made here before, or by hand, with or without pip.
usable_venv() {
  [ ! -e "$venv.unfinished" ] && [ -e "$venv/pyvenv.cfg" ] && suitable "$venv/bin/python" || return 1
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null 2>&1
}

make_venv() {
  local python
  python=$(find_python)
  if [ -n "${ROTATOR_VENV:-}" ] && [ -n "$(ls -A "$venv" 2>/dev/null)" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
    fail "ROTATOR_VENV=$venv is not a virtual environment, and not empty: left alone"
  fi
  note "making $venv with $python"
  : >"$venv.unfinished"
  "$python" -m venv --clear "$venv" >&2 || fail "$venv could not be made (see above)"
}

# The dependencies in pyproject.toml and those of the extras named, one a line.
requirements() {
  "$venv/bin/python" - "$root/pyproject.toml" "$@" <<'PY'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
extras = (project["optional-dependencies"][name] for name in sys.argv[2:])
print(*project["dependencies"], *(line for extra in extras for line in extra), sep="\n")
PY
}

# install [EXTRA]: a marker stands while pip works, so that an interrupted installation is made anew, not trusted.
# What pip says is shown only if it fails: what it warns of then is most often the cause.
install() {
  requirements "$@" >"$venv/rotator-requirements.txt"
  : >"$venv.unfinished"
  local status=0
  (
    # Where rotator's lines are pasted, pip would be sent through a rotator that is not up yet.
    case ${SSL_CERT_FILE:-} in */rotator-ca-bundle.pem) unset HTTPS_PROXY https_proxy ;; esac
    exec "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-input \
      -r "$venv/rotator-requirements.txt"
  ) >"$venv/rotator-pip.log" 2>&1 || status=$?
  rm -f "$venv.unfinished"
  [ "$status" = 0 ] && return
  cat "$venv/rotator-pip.log" >&2
  fail "the dependencies could not be installed (see above); run it again once that is mended"
}

# needed ARGUMENTS: prints `state` where a config that they may lead to shares its state, which takes another package,
# else `start`. Which config it is only Python knows: all are looked at that it may be.
needed() {
  local file config=${XDG_CONFIG_HOME:-${HOME:-}/.config}/rotator apple="${HOME:-}/Library/Application Support/rotator"
  local table=$'\n[[:space:]]*(\\[[[:space:]]*state[[:space:]]*\\]|state[[:space:]]*[.=])|"state"[[:space:]]*:'
  [ -z "${ROTATOR__STATE__URL:-}${ROTATOR__STATE:-}" ] || { printf 'state\n'; return; }
  for file in "$@" {.,"$config","$apple"}/rotator.{toml,json}; do
    file=${file##*=}
    case $file in *.toml | *.json) ;; *) continue ;; esac
    if [ -f "$file" ] && [ -r "$file" ] && [[ $'\n'$(<"$file") =~ $table ]]; then printf 'state\n'; return; fi
  done
  printf 'start\n'
}

# prepare start|state|test|demo: the environment has what that needs. Takes milliseconds when nothing changed.
prepare() {
  if installed "$1"; then return; fi
  usable_venv || make_venv
  note "installing what $1 needs into $venv"
  case $1 in test | demo | state) install "$1" ;; *) install ;; esac
  fingerprint >"$venv/rotator-start.stamp"
  [ "$1" = start ] || fingerprint >"$venv/rotator-$1.stamp"
}
