#!/bin/sh
# The configuration may hold passwords: only root and the service read it.
set -e
getent group kafka-connect-exporter >/dev/null || groupadd --system kafka-connect-exporter
getent passwd kafka-connect-exporter >/dev/null ||
  useradd --system --gid kafka-connect-exporter --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin kafka-connect-exporter
chgrp -R kafka-connect-exporter /etc/kafka-connect-exporter /etc/default/kafka-connect-exporter
chmod 0750 /etc/kafka-connect-exporter
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # An upgrade goes on with the new binary; a first installation waits for its configuration.
  systemctl try-restart kafka-connect-exporter.service
fi
