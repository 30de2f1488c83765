#!/bin/sh
# Sees to a Chromium for the browser tests. Without arguments: installs Debian's when it may
# (root and apt-get), and says so when it may not. With --ignore: prints the pytest option that
# leaves the browser tests out, on a machine without a browser that is not CI; those in Firefox,
# wherever there is none. Pages are driven in the one that has no windows, which does a third of the
# work; any other will do.
have() {
  for name in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null 2>&1 && return 0
  done
  return 1
}
if [ "$1" = --ignore ]; then
  have || [ -n "$CI" ] || echo "--ignore=tests/e2e"
  command -v firefox-esr >/dev/null 2>&1 || command -v firefox >/dev/null 2>&1 ||
    echo "--ignore=tests/e2e/test_page_firefox.py"
  exit 0
fi
command -v chromium-headless-shell >/dev/null 2>&1 && command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing Debian's chromium for the browser tests ..."
  apt-get -qq update >/dev/null
  for name in chromium chromium-headless-shell; do
    apt-get -qq install -y --no-install-recommends $name >/dev/null
  done
fi
have && exit 0
if [ -n "$CI" ]; then
  echo "No Chromium or Chrome, and none could be installed: the browser tests will fail." >&2
else
  echo "WARNING: no Chromium or Chrome on this machine: THE BROWSER TESTS ARE LEFT OUT." >&2
  echo "Install one (Debian: apt-get install chromium) and run make test again." >&2
fi
