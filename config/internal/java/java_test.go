package java

import (
	"os"
	"testing"
)

// Cut short anywhere, a store is an error and no panic.
func TestStoresCutShort(t *testing.T) {
	for _, name := range []string{"key.p12", "key.jks"} {
		whole, err := os.ReadFile("../../testdata/stores/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for length := range len(whole) {
			if _, key, err := KeyStore(whole[:length], "changeit"); err == nil {
				t.Errorf("%s is accepted after %d of %d bytes: %.10s", name, length, len(whole), key)
			}
		}
	}
}
