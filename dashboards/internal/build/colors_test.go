package build

import (
	"math"
	"slices"
	"strconv"
	"testing"
)

// palettes are Grafana's own colours by their names, of its dark and its light theme
// (packages/grafana-data/src/themes/createVisualizationColors.ts).
func palettes() map[string]map[string]string {
	return map[string]map[string]string{
		"dark": {
			"green": "#73BF69", "dark-blue": "#1F60C4", "blue": "#5794F2", "light-purple": "#CA95E5", "purple": "#B877D9", "yellow": "#FADE2A",
			"orange": "#FF9830", "dark-orange": "#FA6400", "red": "#F2495C", "dark-red": "#C4162A",
		},
		"light": {
			"green": "#56A64B", "dark-blue": "#1250B0", "blue": "#3274D9", "light-purple": "#B877D9", "purple": "#A352CC", "yellow": "#F2CC0C",
			"orange": "#FF780A", "dark-orange": "#E55400", "red": "#E02F44", "dark-red": "#AD0317",
		},
	}
}

// A failing object is told from a running one without seeing red and green
// apart, as one man in twelve does not.
func TestFailedIsToldFromRunningWithoutColourVision(t *testing.T) {
	const least = 20
	for theme, palette := range palettes() {
		running := seen(t, palette, shades()[0].color)
		if d := distance(running, seen(t, palette, failedColor)); d < least {
			t.Errorf("%s: running and failed differ by %.1f under deuteranopia, want %d", theme, d, least)
		}
		for _, s := range shades() {
			if trouble := slices.Contains([]string{"unassigned", "restarting", "degraded"}, s.name); trouble {
				if d := distance(running, seen(t, palette, s.color)); d < least {
					t.Errorf("%s: running and %s differ by %.1f under deuteranopia, want %d", theme, s.name, d, least)
				}
			}
		}
	}
	// The measure itself: plain red on dark is what does not do.
	dark := palettes()["dark"]
	if d := distance(seen(t, dark, shades()[0].color), seen(t, dark, "red")); d >= least {
		t.Errorf("plain red and green differ by %.1f: the simulation is not one of deuteranopia", d)
	}
}

// seen is a colour in CIE L*a*b* as a deuteranope sees it (Machado, Oliveira and
// Fernandes 2009, severity 1.0).
func seen(t *testing.T, palette map[string]string, name string) [3]float64 {
	t.Helper()
	text := name
	if hex := palette[name]; hex != "" {
		text = hex
	}
	number, err := strconv.ParseUint(text[1:], 16, 32)
	if err != nil || len(text) != 7 {
		t.Fatalf("%s is no colour", name)
	}
	var linear [3]float64
	for i := range linear {
		c := float64(number>>(16-8*i)&0xff) / 255
		if linear[i] = c / 12.92; c > 0.04045 {
			linear[i] = math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	deuteranopia := [3][3]float64{{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}}
	toXYZ := [3][3]float64{{0.4124564, 0.3575761, 0.1804375}, {0.2126729, 0.7151522, 0.0721750}, {0.0193339, 0.1191920, 0.9503041}}
	times := func(m [3][3]float64, v [3]float64) (out [3]float64) {
		for i := range m {
			for j := range v {
				out[i] += m[i][j] * v[j]
			}
		}
		return out
	}
	perceived := times(deuteranopia, linear)
	for i := range perceived {
		perceived[i] = min(max(perceived[i], 0), 1)
	}
	xyz := times(toXYZ, perceived)
	white := [3]float64{0.95047, 1, 1.08883}
	var f [3]float64
	for i := range xyz {
		r := xyz[i] / white[i]
		if f[i] = 7.787*r + 16.0/116; r > 0.008856 {
			f[i] = math.Cbrt(r)
		}
	}
	return [3]float64{116*f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])}
}

// distance is CIE76's ΔE.
func distance(a, b [3]float64) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}
