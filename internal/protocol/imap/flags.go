package imap

import (
	"strconv"
	"strings"

	"rialto/internal/model"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// flagName pairs a flag of the store with its name in IMAP.
type flagName struct {
	bit  store.Flags
	name string
}

// flagNames are the flags with names of their own; every other name is a keyword.
func flagNames() [7]flagName {
	return [7]flagName{{store.Answered, `\Answered`}, {store.Flagged, `\Flagged`}, {store.DeletedMark, `\Deleted`},
		{store.Read, `\Seen`}, {store.Draft, `\Draft`}, {store.Forwarded, "$Forwarded"}, {store.ReceiptSent, "$MDNSent"}}
}

// writeFlags writes the flag list of an item.
func writeFlags(w *wire.Writer, st *store.Brief) {
	list := flagList(st.Flags)
	if len(st.Keywords) == 0 {
		w.Raw(list)
		return
	}
	w.Raw(list[:len(list)-1])
	for i, k := range st.Keywords {
		if i > 0 || len(list) > len("()") {
			w.SP()
		}
		w.Raw(k)
	}
	w.Byte(')')
}

// flagList returns flags as a list in parentheses.
func flagList(flags store.Flags) string {
	b := []byte{'('}
	for _, f := range flagNames() {
		if flags&f.bit == 0 {
			continue
		}
		if len(b) > 1 {
			b = append(b, ' ')
		}
		b = append(b, f.name...)
	}
	return string(append(b, ')'))
}

// flagBit returns the flag of a name, 0 for a keyword.
func flagBit(name string) store.Flags {
	for _, f := range flagNames() {
		if strings.EqualFold(f.name, name) {
			return f.bit
		}
	}
	return 0
}

// What the store takes of one message.
const (
	maxKeywords = 64
	maxKeyword  = 128 // octets
)

// parseFlags sorts names into flags and keywords. \Recent, which clients may not
// set, and unknown system flags are an error.
func parseFlags(names []string) (flags store.Flags, keywords []string, err error) {
	for _, n := range names {
		bit := flagBit(n)
		switch {
		case bit != 0:
			flags |= bit
		case !isKeyword(n): // of unknown system flags too
			return 0, nil, model.E("imap.flags", model.KindInvalid, "No such flag: "+n[:min(len(n), maxKeyword)], errFlag)
		case len(n) > maxKeyword:
			return 0, nil, model.E("imap.flags", model.KindTooLarge, "Keywords have at most "+strconv.Itoa(maxKeyword)+" characters", errFlagLimit)
		case len(keywords) == maxKeywords:
			return 0, nil, model.E("imap.flags", model.KindTooLarge, "A message has at most "+strconv.Itoa(maxKeywords)+" keywords", errFlagLimit)
		default:
			keywords = append(keywords, n)
		}
	}
	return flags, keywords, nil
}

// isKeyword reports whether n can be written as an atom again.
func isKeyword(n string) bool {
	for i := 0; i < len(n); i++ {
		if c := n[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return n != ""
}
