package rest

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// uncompressed returns the body of an answer in plain form. No coding is asked
// for, but there are proxies that compress for everybody.
func uncompressed(coding string, from io.Reader) (io.Reader, error) {
	switch strings.ToLower(strings.TrimSpace(coding)) {
	case "", "identity":
		return from, nil
	case "gzip", "x-gzip":
		return &gunzip{from: from}, nil
	}
	return from, fmt.Errorf("%w: the answer is compressed, but not by gzip, though neither was asked for", connect.Decode)
}

// gunzip reads what is compressed by gzip.
type gunzip struct {
	from  io.Reader
	plain *gzip.Reader
}

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.plain == nil {
		g.plain, err = gzip.NewReader(g.from)
	}
	if err == nil {
		n, err = g.plain.Read(p)
	}
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) {
		err = fmt.Errorf("%w: not valid gzip", connect.Decode)
	}
	return n, err
}
