#!/usr/bin/env bash
# Installs the clients of the matrix: Debian packages where they are missing, Python packages in fixed versions into .matrix/ of the checkout.
set -euo pipefail

readonly HUGGINGFACE_HUB=2.4.0 WANDB=0.31.0 PIP=26.3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly target=$root/.matrix

programs_missing() {
    local program
    for program in curl aria2c wget2 rclone; do
        command -v "$program" >/dev/null || return 0
    done
    return 1
}

packages_installed() {
    local spec
    for spec in "huggingface_hub-$HUGGINGFACE_HUB" "wandb-$WANDB" "pip-$PIP"; do
        compgen -G "$target/venv/lib/python3*/site-packages/$spec.dist-info" >/dev/null || return 1
    done
}

install_packages() {
    "${PYTHON:-python3}" -m venv --clear "$target/venv" || return 1
    "$target/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        "pip==$PIP" "huggingface_hub==$HUGGINGFACE_HUB" "wandb==$WANDB" || return 1
    packages_installed
}

mkdir -p "$target"
echo '*' >"$target/.gitignore"
failed=0
if programs_missing; then
    apt-get install -y --no-install-recommends curl aria2 wget2 rclone || failed=1
fi
packages_installed || install_packages || failed=1
exit "$failed"
