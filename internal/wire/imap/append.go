package imap

import "time"

// Append is one message of APPEND up to its literal (RFC 9051 6.3.12, RFC 3502).
// The bytes are read with Reader.Accept, or refused with Reader.Skip.
type Append struct {
	Mailbox string
	Flags   []string
	Date    time.Time // zero if not given
	UTF8    bool      // UTF8 (~{…}) of RFC 6855
	Literal Literal
}

// ReadAppend reads the arguments of APPEND up to the first literal.
func ReadAppend(r *Reader) (a Append, err error) {
	if a.Mailbox, err = spMailbox(r); err != nil {
		return a, err
	}
	if err = r.SP(); err != nil {
		return a, err
	}
	return a, a.message(r)
}

// message reads flags, date and the announcement of a literal.
func (a *Append) message(r *Reader) (err error) {
	if r.Peek() == '(' {
		if a.Flags, err = r.Flags(); err != nil {
			return err
		}
		if err = r.SP(); err != nil {
			return err
		}
	}
	if r.Peek() == '"' {
		if a.Date, err = r.DateTime(); err != nil {
			return err
		}
		if err = r.SP(); err != nil {
			return err
		}
	}
	if c := r.Peek(); c == 'U' || c == 'u' {
		if k, _ := r.Keyword(); k != "UTF8" || !r.Byte(' ') || !r.Byte('(') {
			return syntax("Expected a literal")
		}
		a.UTF8 = true
	}
	a.Literal, err = r.Announced()
	return err
}

// Next goes on behind the literal, which must have been read to its end. more
// says that another message follows (MULTIAPPEND), which a then describes.
func (a *Append) Next(r *Reader) (more bool, err error) {
	if err = r.Resume(); err != nil {
		return false, err
	}
	if a.UTF8 && !r.Byte(')') {
		return false, syntax("Expected )")
	}
	if r.pos >= len(r.line) || !r.Byte(' ') || r.pos >= len(r.line) {
		return false, r.End()
	}
	*a = Append{Mailbox: a.Mailbox}
	return true, a.message(r)
}
