# Sourced by the other scripts: makes virtual environments and chooses what MPI needs. Needs Python >= 3.11 and pip.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The first Python on the path that will do.
python=""
for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
  if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "Expected Python 3.11 or later on the path. Found none. Install it, or set PYTHON=/path/to/python3." >&2
  exit 69
fi

# environment FOLDER EXTRAS: a virtual environment with this package, installed anew when the package's metadata changed.
environment() {
  local folder=$1 extras=$2 stamp
  stamp=$(cksum <"$root/pyproject.toml")
  if [ "$(cat "$folder/.installed-$extras" 2>/dev/null)" != "$stamp" ]; then
    echo "installing distrib[$extras] into $folder" >&2
    [ -x "$folder/bin/python" ] || "$python" -m venv "$folder" || return
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$root[$extras]" || return
    echo "$stamp" >"$folder/.installed-$extras"
  fi
}

# peer NAME PACKAGE...: a virtual environment of other software, without this package. Kept in a cache folder.
export DISTRIB_PEERS=${DISTRIB_PEERS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/distrib/peers}
peer() {
  local folder="$DISTRIB_PEERS/$1"
  shift
  if [ "$(cat "$folder/.installed" 2>/dev/null)" != "$*" ]; then
    echo "installing $* into $folder" >&2
    [ -x "$folder/bin/python" ] || "$python" -m venv "$folder" || return
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" || return
    echo "$*" >"$folder/.installed"
  fi
}

# Tests start more than a thousand processes, and each imports the package twice as fast from bytecode.
unset PYTHONDONTWRITEBYTECODE

# Open MPI does not start without a home.
export HOME=${HOME:-$("$python" -c 'import os.path; print(os.path.expanduser("~"))')}

# Open MPI refuses to run as root, as in a container, unless it is told twice that this is meant.
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
