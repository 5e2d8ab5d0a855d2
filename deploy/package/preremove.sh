#!/bin/sh
# Debian says "remove", rpm says 0; an upgrade keeps the service running.
set -e
if [ -d /run/systemd/system ] && { [ "$1" = remove ] || [ "$1" = 0 ]; }; then
  systemctl disable --now kafka-connect-exporter.service
fi
