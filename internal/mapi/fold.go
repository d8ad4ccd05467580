package mapi

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold is how texts are brought into the form in which they are compared.
type Fold uint8

// The folds; they add up.
const (
	FoldCase  Fold = 1 << iota // full Unicode case folding, canonical equivalents alike
	FoldMarks                  // leaves out nonspacing marks
	FoldNone  Fold = 0         // octets as they are
)

// Append appends s, folded, to b.
func (f Fold) Append(b []byte, s string) []byte {
	if f == FoldNone {
		return append(b, s...)
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return f.appendUnicode(b, s)
		}
	}
	if f&FoldCase == 0 {
		return append(b, s...)
	}
	for i := 0; i < len(s); i++ {
		b = append(b, lower(s[i]))
	}
	return b
}

// appendUnicode is the caseless match of Unicode 3.13 D145: NFD, fold, NFD.
func (f Fold) appendUnicode(b []byte, s string) []byte {
	s = norm.NFD.String(s)
	if f&FoldCase != 0 {
		s = norm.NFD.String(cases.Fold().String(s))
	}
	if f&FoldMarks == 0 {
		return append(b, s...)
	}
	for _, r := range s {
		if !unicode.Is(unicode.Mn, r) {
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
