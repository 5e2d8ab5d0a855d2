#!/bin/sh
# Makes the stores of this directory anew, with the JDK's own keytool (17 or
# later). The keys protect nothing. Run it in this directory.
set -eu
rm -f ./*.p12 ./*.jks ./*.pem
password=changeit

# A private key of its own, self-signed, once in each form.
for form in PKCS12 JKS; do
  suffix=$(echo "$form" | tr 'PKCSJ' 'pkcsj' | sed s/pkcs12/p12/)
  keytool -genkeypair -alias exporter -keyalg EC -groupname secp256r1 -validity 36500 \
    -dname CN=exporter -ext san=dns:localhost,ip:127.0.0.1 \
    -storetype "$form" -keystore "key.$suffix" -storepass $password -keypass $password
done

# What vouches for the first of them.
keytool -exportcert -rfc -alias exporter -keystore key.p12 -storepass $password -file certificate.pem
for form in PKCS12 JKS; do
  suffix=$(echo "$form" | tr 'PKCSJ' 'pkcsj' | sed s/pkcs12/p12/)
  keytool -importcert -noprompt -alias authority -file certificate.pem \
    -storetype "$form" -keystore "trust.$suffix" -storepass $password
done

# Two private keys: nobody can say which is meant.
keytool -importkeystore -srckeystore key.jks -srcstorepass $password \
  -destkeystore two.jks -deststoretype JKS -deststorepass $password
keytool -genkeypair -alias another -keyalg EC -groupname secp256r1 -validity 36500 -dname CN=another \
  -storetype JKS -keystore two.jks -storepass $password -keypass $password

# A key under another password than the store's (only JKS has that).
keytool -genkeypair -alias exporter -keyalg EC -groupname secp256r1 -validity 36500 -dname CN=exporter \
  -storetype JKS -keystore otherkey.jks -storepass $password -keypass different
