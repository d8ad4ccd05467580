package imap

import (
	"strconv"
	"strings"
)

// FetchKind is a FETCH data item.
type FetchKind uint8

// The FETCH data items.
const (
	FetchFlags FetchKind = iota + 1
	FetchUID
	FetchInternalDate
	FetchSize // RFC822.SIZE
	FetchEnvelope
	FetchBody          // BODY: the structure without extension data
	FetchBodyStructure // BODYSTRUCTURE
	FetchSection       // BODY[…], BODY.PEEK[…]
	FetchBinary        // BINARY[…], BINARY.PEEK[…]
	FetchBinarySize    // BINARY.SIZE[…]
	FetchRFC822
	FetchRFC822Header
	FetchRFC822Text
	FetchModSeq
	FetchEmailID
	FetchThreadID
	FetchPreview
	FetchSaveDate
)

// Fetch is the arguments of FETCH and UID FETCH.
type Fetch struct {
	Set          SeqSet
	Items        []FetchItem // macros are expanded
	ChangedSince uint64      // 0 if not given
	HasChanged   bool
	Vanished     bool
}

// FetchItem is one data item.
type FetchItem struct {
	Kind    FetchKind
	Peek    bool // must not set \Seen
	Section Section
	Partial *Partial
}

// Partial is <offset.count> in bytes.
type Partial struct{ Offset, Count uint32 }

// Section is what stands in BODY[…] (RFC 9051 6.4.5.1).
type Section struct {
	Part      []int    // 1.2
	Specifier string   // "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME
	Fields    []string // of HEADER.FIELDS, as written
}

// ReadFetch reads FETCH or UID FETCH.
func ReadFetch(r *Reader) (f Fetch, err error) {
	if err = r.SP(); err != nil {
		return f, err
	}
	if f.Set, err = r.SeqSet(); err != nil {
		return f, err
	}
	if err = r.SP(); err != nil {
		return f, err
	}
	if r.Peek() == '(' {
		err = r.List(func() error { return f.item(r) })
	} else {
		err = f.item(r)
	}
	if err == nil && len(f.Items) == 0 {
		err = syntax("Expected data items")
	}
	if err == nil && r.Byte(' ') {
		err = r.List(func() error { return f.modifier(r) })
	}
	if err != nil {
		return f, err
	}
	return f, r.End()
}

func (f *Fetch) modifier(r *Reader) error {
	k, err := r.Keyword()
	switch k {
	case "CHANGEDSINCE":
		if err = r.SP(); err == nil {
			f.ChangedSince, err = r.Number()
			f.HasChanged = true
		}
	case "VANISHED":
		f.Vanished = true
	default:
		if err == nil {
			err = syntax("Unknown modifier")
		}
	}
	return err
}

// isItemChar stops an item's name before its section.
func isItemChar(c byte) bool { return isAtomChar(c) && c != '[' && c != '<' }

func (f *Fetch) item(r *Reader) error {
	name := upper(r.run(isItemChar))
	add := func(ks ...FetchKind) error {
		for _, k := range ks {
			f.Items = append(f.Items, FetchItem{Kind: k})
		}
		return nil
	}
	switch name {
	case "ALL":
		return add(FetchFlags, FetchInternalDate, FetchSize, FetchEnvelope)
	case "FAST":
		return add(FetchFlags, FetchInternalDate, FetchSize)
	case "FULL":
		return add(FetchFlags, FetchInternalDate, FetchSize, FetchEnvelope, FetchBody)
	}
	if r.Peek() == '[' {
		return f.section(r, name)
	}
	k := plainItem(name)
	if k == 0 {
		return syntax("Unknown data item")
	}
	if k == FetchPreview && r.Peek() == ' ' && r.pos+1 < len(r.line) && r.line[r.pos+1] == '(' {
		r.pos++ // PREVIEW (LAZY): ours is always at hand
		if err := r.List(func() error { _, err := r.Keyword(); return err }); err != nil {
			return err
		}
	}
	return add(k)
}

func plainItem(name string) FetchKind {
	switch name {
	case "FLAGS":
		return FetchFlags
	case "UID":
		return FetchUID
	case "INTERNALDATE":
		return FetchInternalDate
	case "RFC822.SIZE":
		return FetchSize
	case "ENVELOPE":
		return FetchEnvelope
	case "BODY":
		return FetchBody
	case "BODYSTRUCTURE":
		return FetchBodyStructure
	case "RFC822":
		return FetchRFC822
	case "RFC822.HEADER":
		return FetchRFC822Header
	case "RFC822.TEXT":
		return FetchRFC822Text
	case "MODSEQ":
		return FetchModSeq
	case "EMAILID":
		return FetchEmailID
	case "THREADID":
		return FetchThreadID
	case "PREVIEW":
		return FetchPreview
	case "SAVEDATE":
		return FetchSaveDate
	}
	return 0
}

// section reads the rest of an item with a section.
func (f *Fetch) section(r *Reader, name string) (err error) {
	it := FetchItem{Kind: FetchSection, Peek: strings.HasSuffix(name, ".PEEK")}
	switch name {
	case "BODY", "BODY.PEEK":
	case "BINARY", "BINARY.PEEK":
		it.Kind = FetchBinary
	case "BINARY.SIZE":
		it.Kind, it.Peek = FetchBinarySize, true
	default:
		return syntax("Unknown data item")
	}
	if it.Section, err = r.Section(); err != nil {
		return err
	}
	if it.Kind != FetchSection && it.Section.Specifier != "" {
		return syntax("Bad section")
	}
	if it.Kind != FetchBinarySize && r.Peek() == '<' {
		if it.Partial, err = r.partial(); err != nil {
			return err
		}
	}
	f.Items = append(f.Items, it)
	return nil
}

// Section reads a section in brackets.
func (r *Reader) Section() (s Section, err error) {
	if !r.Byte('[') {
		return s, syntax("Expected a section")
	}
	for isDigit(r.Peek()) {
		n, err := r.Number32()
		if err != nil || n == 0 || n > 1<<30 || len(s.Part) >= maxSection {
			return s, syntax("Bad section")
		}
		s.Part = append(s.Part, int(n))
		if !r.Byte('.') {
			if !r.Byte(']') {
				return s, syntax("Bad section")
			}
			return s, nil
		}
	}
	s.Specifier = upper(r.run(isItemChar))
	switch s.Specifier {
	case "HEADER", "TEXT":
	case "MIME":
		if len(s.Part) == 0 {
			return s, syntax("Bad section")
		}
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		if err := r.SP(); err != nil {
			return s, err
		}
		err = r.List(func() error {
			name, err := r.AString()
			if strings.ContainsAny(name, " :\r\n\x00") {
				return syntax("Bad field name")
			}
			s.Fields = append(s.Fields, name)
			return err
		})
		if err == nil && len(s.Fields) == 0 {
			err = syntax("Expected field names")
		}
	default:
		if s.Specifier != "" || len(s.Part) > 0 {
			err = syntax("Bad section")
		}
	}
	if err == nil && !r.Byte(']') {
		err = syntax("Bad section")
	}
	return s, err
}

func (r *Reader) partial() (*Partial, error) {
	r.Byte('<')
	off, err := r.Number32()
	if err != nil {
		return nil, err
	}
	p := &Partial{Offset: off}
	if !r.Byte('.') {
		return nil, syntax("Bad partial")
	}
	if p.Count, err = r.Number32(); err != nil || p.Count == 0 || !r.Byte('>') {
		return nil, syntax("Bad partial")
	}
	return p, nil
}

// AppendLabel appends the item's name as a response repeats it:
// BODY[1.HEADER.FIELDS (From)]<0>.
func (it FetchItem) AppendLabel(b []byte) []byte {
	switch it.Kind {
	case FetchSection:
		b = append(b, "BODY"...)
	case FetchBinary:
		b = append(b, "BINARY"...)
	case FetchBinarySize:
		b = append(b, "BINARY.SIZE"...)
	default:
		return append(b, it.Kind.name()...)
	}
	b = it.Section.Append(b)
	if it.Partial != nil {
		b = append(b, '<')
		b = strconv.AppendUint(b, uint64(it.Partial.Offset), 10)
		b = append(b, '>')
	}
	return b
}

// name returns the data item's name where it has no section.
func (k FetchKind) name() string {
	for _, n := range [...]string{"FLAGS", "UID", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE",
		"RFC822", "RFC822.HEADER", "RFC822.TEXT", "MODSEQ", "EMAILID", "THREADID", "PREVIEW", "SAVEDATE"} {
		if plainItem(n) == k {
			return n
		}
	}
	return ""
}

// Append appends the section with its brackets.
func (s Section) Append(b []byte) []byte {
	b = append(b, '[')
	for i, n := range s.Part {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	if s.Specifier != "" {
		if len(s.Part) > 0 {
			b = append(b, '.')
		}
		b = append(b, s.Specifier...)
	}
	if s.Fields != nil {
		b = append(b, " ("...)
		for i, f := range s.Fields {
			if i > 0 {
				b = append(b, ' ')
			}
			b = appendAString(b, f)
		}
		b = append(b, ')')
	}
	return append(b, ']')
}
