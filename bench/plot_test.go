package bench

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"math"
)

// discard is the log of servers whose clients hang up on purpose.
var discard = log.New(io.Discard, "", 0)

// plot draws what was read over time, a panel for each: grey while things happen,
// a dot when a round is over.
func plot(during, calm []reading) []byte {
	const width, height, left, top, gap = 900.0, 90.0, 130.0, 40.0, 34.0
	panels := []struct {
		what  string
		of    func(reading) float64
		noisy bool // has readings between rounds
	}{
		{"goroutines", func(r reading) float64 { return r.goroutines }, true},
		{"descriptors", func(r reading) float64 { return r.files }, true},
		{"heap, MB", func(r reading) float64 { return r.heap / (1 << 20) }, true},
		{"series", func(r reading) float64 { return r.series }, false},
		{"log, lines a round", func(r reading) float64 { return r.lines }, false},
	}
	end := 1.0
	for _, r := range calm {
		end = math.Max(end, r.at.Minutes())
	}
	var b bytes.Buffer
	total := top + float64(len(panels))*(height+gap)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="13">`+"\n", left+width+20, total)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%.0f" y="22">grey: while things happen · blue: when a round is over and garbage collected</text>`+"\n", left)
	for i, panel := range panels {
		y := top + float64(i)*(height+gap)
		most := 1.0
		for _, r := range calm {
			most = math.Max(most, panel.of(r))
		}
		if panel.noisy {
			for _, r := range during {
				most = math.Max(most, panel.of(r))
			}
		}
		at := func(r reading) (float64, float64) {
			return left + width*r.at.Minutes()/end, y + height*(1-panel.of(r)/most)
		}
		fmt.Fprintf(&b, `<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" fill="none" stroke="#ccc"/>`, left, y, width, height)
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="end">%s</text>`, left-8, y+height/2, panel.what)
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="end" fill="#666">%.0f</text><text x="%.0f" y="%.0f" text-anchor="end" fill="#666">0</text>`+"\n", left-8, y+12, most, left-8, y+height)
		if panel.noisy {
			b.WriteString(`<polyline fill="none" stroke="#bbb" points="`)
			for _, r := range during {
				x, y := at(r)
				fmt.Fprintf(&b, "%.1f,%.1f ", x, y)
			}
			b.WriteString(`"/>` + "\n")
		}
		b.WriteString(`<g fill="#1f60c4">`)
		for _, r := range calm {
			x, y := at(r)
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="2.5"/>`, x, y)
		}
		b.WriteString("</g>\n")
	}
	for minute := 0.0; minute <= end; minute += math.Max(1, math.Round(end/10)) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.0f" text-anchor="middle" fill="#666">%.0f min</text>`, left+width*minute/end, total-gap+16, minute)
	}
	b.WriteString("\n</svg>\n")
	return b.Bytes()
}
