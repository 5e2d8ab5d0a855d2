package exposition

import (
	"bytes"
	"compress/gzip"
	"io"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// Parts put together are one gzip stream of their texts, and their texts.
func TestParts(t *testing.T) {
	compressors, expanders := &sync.Pool{New: newCompressor}, &sync.Pool{New: newExpander}
	rapid.Check(t, func(r *rapid.T) {
		var parts []part
		var want []byte
		for _, text := range rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 0, 5).Draw(r, "texts") {
			text = bytes.Repeat(text, rapid.SampledFrom([]int{0, 1, 3, 5000}).Draw(r, "times"))
			if rapid.Bool().Draw(r, "deflated") {
				parts = append(parts, deflatedPart(compressors, text))
			} else {
				parts = append(parts, plainPart(text))
			}
			want = append(want, text...)
		}
		var plain, out bytes.Buffer
		if err := writePlain(&plain, expanders, parts); err != nil || !bytes.Equal(plain.Bytes(), want) {
			r.Fatalf("%d bytes, want %d: %v", plain.Len(), len(want), err)
		}
		if err := writeGzip(&out, parts); err != nil {
			r.Fatal(err)
		}
		if out.Len() != gzipSize(parts) || plain.Len() != plainSize(parts) {
			r.Errorf("%d and %d bytes, said to be %d and %d", out.Len(), plain.Len(), gzipSize(parts), plainSize(parts))
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
