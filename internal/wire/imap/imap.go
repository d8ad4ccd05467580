// Package imap is the codec of IMAP4rev1 and IMAP4rev2 (RFC 3501, RFC 9051) with
// the extensions the server offers: commands are read into one type each,
// responses are written by primitives, and a small client speaks over a given
// stream. It opens no sockets and knows no mailboxes.
//
// A server reads a command in three steps: Reader.Begin gives tag and name, one
// of the Read functions its arguments, and Reader.Skip brings the stream to the
// next command whatever happened, or says that the connection must be closed.
package imap

import (
	"errors"

	"rialto/internal/model"
)

// Limits of one command beside those of a Reader.
const (
	maxList        = 1000 // elements of a parenthesised list
	maxSearchDepth = 50
	maxSearchKeys  = 1000
	maxSection     = 100 // numbers in a section
)

// errSyntax is the cause of every error about the form of a command.
var errSyntax = errors.New("imap: syntax")

// syntax returns a KindInvalid error whose Object is safe to show in a BAD.
func syntax(what string) error {
	return model.E("imap.read", model.KindInvalid, what, errSyntax)
}

// IsSyntax reports whether err is about the form of the command: the answer is
// BAD, with the text of SyntaxText.
func IsSyntax(err error) bool { return errors.Is(err, errSyntax) }

// SyntaxText returns what to tell the client about err.
func SyntaxText(err error) string {
	var e *model.Error
	if errors.As(err, &e) && e.Object != "" {
		return e.Object
	}
	return "Syntax error"
}

// upper is strings.ToUpper for ASCII.
func upper(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'a' && c <= 'z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'a' && b[i] <= 'z' {
					b[i] -= 32
				}
			}
			return string(b)
		}
	}
	return s
}
