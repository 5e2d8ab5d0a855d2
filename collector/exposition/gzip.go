package exposition

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/flate"
)

// A part of an answer. It does not change, and is put together with others in
// any order.
type part struct {
	bytes []byte
	// deflated tells whether bytes are compressed: blocks of a deflate stream (RFC
	// 1951) of which none is the last, none refers to what comes before the part,
	// and that end on a byte. Such parts can follow each other.
	deflated bool
	// size and crc are of the text.
	size int
	crc  uint32
}

// level of compression: on what is exposed it is as small as what compress/gzip
// makes by default, in half of the time.
const level = 6

// newCompressor and newExpander make what a sync.Pool keeps.
func newCompressor() any {
	w, err := flate.NewWriter(nil, level)
	if err != nil {
		panic(err) // The level is one of the package's own.
	}
	return w
}

func newExpander() any {
	e := &expander{buffer: make([]byte, 32<<10)}
	e.from = flate.NewReader(&e.in)
	return e
}

// An expander undoes a compressor's work.
type expander struct {
	in     bytes.Reader
	from   io.Reader
	text   io.LimitedReader
	buffer []byte
}

// copyTo writes the text of a part that is compressed.
func (e *expander) copyTo(w io.Writer, p *part) error {
	e.in.Reset(p.bytes)
	if err := e.from.(flate.Resetter).Reset(&e.in, nil); err != nil {
		return err
	}
	e.text = io.LimitedReader{R: e.from, N: int64(p.size)}
	n, err := io.CopyBuffer(w, &e.text, e.buffer)
	if err == nil && n < int64(p.size) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// plainPart makes a part of a text, which it holds.
func plainPart(text []byte) part { return part{bytes: text, size: len(text)} }

// deflatedPart makes a part of a text, which it does not hold.
func deflatedPart(compressors *sync.Pool, text []byte) part {
	w := compressors.Get().(*flate.Writer)
	defer compressors.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	_, _ = w.Write(text) // A buffer does not fail.
	_ = w.Flush()
	w.Reset(nil)
	return part{bytes: bytes.Clone(out.Bytes()), deflated: true, size: len(text), crc: crc32.ChecksumIEEE(text)}
}

// largestStored is how much text a deflate block holds at most that is not
// compressed.
const largestStored = 1<<16 - 1

// gzipHeader of a stream without name and time (RFC 1952).
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

// writeGzip makes one gzip stream of parts.
func writeGzip(w io.Writer, parts []part) error {
	if _, err := w.Write(gzipHeader); err != nil {
		return err
	}
	var crc, size uint32
	for i := range parts {
		p := &parts[i]
		if err := p.writeDeflated(w); err != nil {
			return err
		}
		partCRC := p.crc
		if !p.deflated {
			partCRC = crc32.ChecksumIEEE(p.bytes)
		}
		crc = joinCRC(crc, partCRC, p.size)
		size += uint32(p.size)
	}
	// An empty block that is the last, then what the whole must come to.
	trailer := binary.LittleEndian.AppendUint32([]byte{0x03, 0x00}, crc)
	_, err := w.Write(binary.LittleEndian.AppendUint32(trailer, size))
	return err
}

func (p *part) writeDeflated(w io.Writer) error {
	if p.deflated {
		_, err := w.Write(p.bytes)
		return err
	}
	for text := p.bytes; len(text) > 0; {
		n := min(len(text), largestStored)
		header := binary.LittleEndian.AppendUint16([]byte{0}, uint16(n))
		if _, err := w.Write(binary.LittleEndian.AppendUint16(header, ^uint16(n))); err != nil {
			return err
		}
		if _, err := w.Write(text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// gzipSize is how many bytes writeGzip writes.
func gzipSize(parts []part) int {
	size := len(gzipHeader) + 10
	for i := range parts {
		p := &parts[i]
		size += len(p.bytes)
		if !p.deflated {
			size += 5 * ((len(p.bytes) + largestStored - 1) / largestStored)
		}
	}
	return size
}

// writePlain writes the text of parts.
func writePlain(w io.Writer, expanders *sync.Pool, parts []part) error {
	w = struct{ io.Writer }{w} // It is not to bring a buffer of its own for each part.
	e := expanders.Get().(*expander)
	defer expanders.Put(e)
	for i := range parts {
		p := &parts[i]
		var err error
		if p.deflated {
			err = e.copyTo(w, p)
		} else {
			_, err = w.Write(p.bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// plainSize is how many bytes writePlain writes.
func plainSize(parts []part) int {
	size := 0
	for i := range parts {
		size += parts[i].size
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
