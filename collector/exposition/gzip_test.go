package exposition

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// Pieces put together are one gzip stream of their texts.
func TestGzip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w, err := flate.NewWriter(nil, flate.DefaultCompression)
		if err != nil {
			r.Fatal(err)
		}
		var parts []part
		var want []byte
		for _, text := range rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 0, 5).Draw(r, "texts") {
			text = bytes.Repeat(text, rapid.SampledFrom([]int{0, 1, 3, 5000}).Draw(r, "times"))
			parts = append(parts, deflate(w, text))
			want = append(want, text...)
		}
		var out bytes.Buffer
		if err := writeGzip(&out, parts); err != nil {
			r.Fatal(err)
		}
		if out.Len() != gzipSize(parts) {
			r.Errorf("%d bytes, said to be %d", out.Len(), gzipSize(parts))
		}
		// A reader of the simplest kind: it takes one stream and no second.
		in, err := gzip.NewReader(&out)
		if err != nil {
			r.Fatal(err)
		}
		in.Multistream(false)
		got, err := io.ReadAll(in)
		if err != nil || !bytes.Equal(got, want) {
			r.Fatalf("%d bytes, want %d: %v", len(got), len(want), err)
		}
		if out.Len() != 0 {
			r.Errorf("%d bytes after the end", out.Len())
		}
	})
}
