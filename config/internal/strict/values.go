package strict

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// A Duration is written as Go and Prometheus write it.
type Duration time.Duration

// UnmarshalText reads Go's notation, and Prometheus's for its days and weeks.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	days, daysErr := model.ParseDuration(string(text))
	switch {
	case err != nil && daysErr != nil:
		return errors.New("must be a duration with its unit, such as 500ms, 5s or 1m30s")
	case parsed < 0:
		return errors.New("must not be negative")
	}
	*d = Duration(max(parsed, time.Duration(days)))
	return nil
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	if time.Duration(d)%time.Millisecond != 0 {
		return time.Duration(d).String()
	}
	return model.Duration(d).String()
}

// A Pattern is a regular expression that matches anywhere in a name.
type Pattern struct{ *regexp.Regexp }

// UnmarshalText compiles it. Its errors never repeat it.
func (p *Pattern) UnmarshalText(text []byte) (err error) {
	if p.Regexp, err = regexp.Compile(string(text)); err != nil {
		return errors.New("is no regular expression (RE2)" + patternProblem(err))
	}
	return nil
}

// patternProblem says what is wrong with a regular expression, without the piece
// of it that the library quotes.
func patternProblem(err error) string {
	problem, _ := errors.AsType[*syntax.Error](err)
	for _, known := range []struct {
		hint  string
		codes []syntax.ErrorCode
	}{
		{"( and ) must come in pairs; write \\( for the character", []syntax.ErrorCode{syntax.ErrMissingParen, syntax.ErrUnexpectedParen}},
		{"a class of characters in [ ] is malformed; write \\[ for the character", []syntax.ErrorCode{syntax.ErrMissingBracket, syntax.ErrInvalidCharRange, syntax.ErrInvalidCharClass}},
		{"* + ? repeat what stands before them; for any text write .*", []syntax.ErrorCode{syntax.ErrMissingRepeatArgument, syntax.ErrInvalidRepeatOp}},
		{"it repeats or nests too much", []syntax.ErrorCode{syntax.ErrInvalidRepeatSize, syntax.ErrLarge, syntax.ErrNestingDepth}},
		{"\\ stands before a character that it cannot escape", []syntax.ErrorCode{syntax.ErrInvalidEscape, syntax.ErrTrailingBackslash}},
		{"(? begins a group that RE2 does not know, such as a look-ahead", []syntax.ErrorCode{syntax.ErrInvalidPerlOp, syntax.ErrInvalidNamedCapture}},
		{"it is no UTF-8 text", []syntax.ErrorCode{syntax.ErrInvalidUTF8}},
	} {
		if problem != nil && slices.Contains(known.codes, problem.Code) {
			return ": " + known.hint
		}
	}
	return ""
}
