#!/usr/bin/env bash
# Installs the server programs that come from npm into .servers/ of the checkout, in fixed versions. Does nothing when they are there.
set -euo pipefail

readonly S3RVER=3.7.1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly target=$root/.servers

installed() {
    grep -qs "\"version\": \"$S3RVER\"" "$target/node_modules/s3rver/package.json"
}

if installed; then
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "install.sh: npm is not here, so s3rver cannot be installed (Debian: apt-get install npm)" >&2
    exit 1
fi
mkdir -p "$target"
echo '*' >"$target/.gitignore"
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error --prefix "$target" "s3rver@$S3RVER"
installed
