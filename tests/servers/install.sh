#!/usr/bin/env bash
# Installs the programs that come from npm and PyPI, servers and an old client, into .servers/ of the checkout, in fixed versions. Does nothing when they are there.
set -euo pipefail

readonly S3RVER=3.7.1
readonly MOTO=5.2.5 FLASK=3.1.3 FLASK_CORS=6.0.5
# One of the last versions of W&B's SDK that still knows how old servers are asked.
readonly WANDB=0.22.3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly target=$root/.servers

s3rver_installed() {
    grep -qs "\"version\": \"$S3RVER\"" "$target/node_modules/s3rver/package.json"
}

moto_installed() {
    [[ -x $target/moto/bin/moto_server ]] && compgen -G "$target/moto/lib/python3*/site-packages/moto-$MOTO.*" >/dev/null
}

wandb_installed() {
    [[ -x $target/wandb/bin/python ]] && compgen -G "$target/wandb/lib/python3*/site-packages/wandb-$WANDB.*" >/dev/null
}

install_s3rver() {
    if ! command -v npm >/dev/null; then
        echo "install.sh: npm is not here, so s3rver cannot be installed (Debian: apt-get install npm)" >&2
        return 1
    fi
    npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error --prefix "$target" "s3rver@$S3RVER"
    s3rver_installed
}

# In an environment of its own: it wants its own botocore, and much else. Of its extra [server] only what S3 needs.
install_moto() {
    "${PYTHON:-python3}" -m venv --clear "$target/moto" || return 1
    "$target/moto/bin/python" -m pip install --quiet --disable-pip-version-check \
        "moto==$MOTO" "flask==$FLASK" "flask-cors==$FLASK_CORS" || return 1
    moto_installed
}

install_wandb() {
    "${PYTHON:-python3}" -m venv --clear "$target/wandb" || return 1
    "$target/wandb/bin/python" -m pip install --quiet --disable-pip-version-check "wandb==$WANDB" || return 1
    wandb_installed
}

mkdir -p "$target"
echo '*' >"$target/.gitignore"
failed=0
s3rver_installed || install_s3rver || failed=1
moto_installed || install_moto || failed=1
wandb_installed || install_wandb || failed=1
exit "$failed"
