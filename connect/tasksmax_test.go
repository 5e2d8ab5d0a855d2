package connect

import "testing"

// The right values are what jshell says of Integer.parseInt(text.trim()), 0 where
// it throws, and where the validator refuses what is below 1.
func TestParseTasksMax(t *testing.T) {
	for text, want := range map[string]int{
		"3": 3, " 3 ": 3, "+2": 2, "\t4\n": 4, "007": 7, "\x003\x01": 3, "+0005": 5,
		"2147483647": 2147483647, "2147483648": 0, "99999999999999999999": 0, "4294967297": 0, "18446744073709551617": 0,
		"": 0, " ": 0, "+": 0, "-": 0, "-1": 0, "0": 0, "-0": 0, "+ 2": 0, "2 3": 0, "++2": 0, "+-2": 0, "1.0": 0, "1e2": 0, "0x10": 0, "1_000": 0, "3L": 0, "three": 0,
		"${env:MAX}": 0, "\u00a03": 0, "\u20033": 0,
		"٣": 0, "１２": 0, // Java reads them, and nobody writes them.
	} {
		if got := ParseTasksMax(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}
