package exposition

import (
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
)

// A part is a part of an answer, encoded and perhaps compressed. It does not
// change, and is put together with others in any order.
type part struct {
	bytes []byte
	// crc and size are of what was compressed; the size also of what was not.
	crc  uint32
	size int
}

// deflate compresses text into a part of a deflate stream (RFC 1951): blocks
// of which none is the last, none refers to what comes before the part, and
// that end on a byte. Such parts can follow each other.
func deflate(w *flate.Writer, text []byte) part {
	var out sliceWriter
	w.Reset(&out)
	_, _ = w.Write(text) // A sliceWriter does not fail.
	_ = w.Flush()
	return part{bytes: out.bytes, crc: crc32.ChecksumIEEE(text), size: len(text)}
}

type sliceWriter struct{ bytes []byte }

func (s *sliceWriter) Write(p []byte) (int, error) {
	s.bytes = append(s.bytes, p...)
	return len(p), nil
}

// gzipHeader of a stream without name and time (RFC 1952).
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

// writeGzip makes one gzip stream of compressed parts.
func writeGzip(w io.Writer, parts []part) error {
	if _, err := w.Write(gzipHeader); err != nil {
		return err
	}
	var crc, size uint32
	for i := range parts {
		p := &parts[i]
		if _, err := w.Write(p.bytes); err != nil {
			return err
		}
		crc = joinCRC(crc, p.crc, p.size)
		size += uint32(p.size)
	}
	// An empty block that is the last, then what the whole must come to.
	trailer := binary.LittleEndian.AppendUint32([]byte{0x03, 0x00}, crc)
	_, err := w.Write(binary.LittleEndian.AppendUint32(trailer, size))
	return err
}

// gzipSize is how many bytes writeGzip writes.
func gzipSize(parts []part) int {
	size := len(gzipHeader) + 10
	for i := range parts {
		size += len(parts[i].bytes)
	}
	return size
}

// joinCRC returns the CRC-32 of two texts one after the other, of which the
// second has size bytes: a CRC is linear over GF(2), so that the first moves on
// by a multiplication with x to the power of eight times size, modulo the
// polynomial (the method of zlib's crc32_combine).
func joinCRC(first, second uint32, size int) uint32 {
	return multiply(power(uint64(size)), first) ^ second
}

// one is the polynomial 1; the coefficient of x^0 is the highest bit.
const one = uint32(1) << 31

// multiply multiplies two polynomials modulo that of CRC-32.
func multiply(a, b uint32) uint32 {
	var product uint32
	for mask := one; a != 0; mask >>= 1 {
		if a&mask != 0 {
			product ^= b
			a &^= mask
		}
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return product
}

// powers[k] is x to the power of 8 times 2^k.
var powers = func() (p [bits.UintSize]uint32) {
	p[0] = one >> 8
	for k := 1; k < len(p); k++ {
		p[k] = multiply(p[k-1], p[k-1])
	}
	return p
}()

// power returns x to the power of 8n.
func power(n uint64) uint32 {
	product := one
	for ; n != 0; n &= n - 1 {
		product = multiply(powers[bits.TrailingZeros64(n)], product)
	}
	return product
}
