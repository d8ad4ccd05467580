package ldap

// FilterKind is the kind of a Filter; the values are the context tag numbers of
// RFC 4511 4.5.1.7.
type FilterKind uint8

// The kinds.
const (
	FilterAnd FilterKind = iota
	FilterOr
	FilterNot
	FilterEqual
	FilterSubstrings
	FilterGreaterOrEqual
	FilterLessOrEqual
	FilterPresent
	FilterApprox
	FilterExtensible
)

// Limits of a filter, both forms.
const (
	maxFilterDepth = 64
	maxFilterNodes = 4096
)

// Filter is a search filter. Which fields count depends on Kind.
type Filter struct {
	Kind     FilterKind
	Children []*Filter // And, Or: any number, none being true and false (RFC 4526); Not: one
	Attr     string    // the others; may be empty in Extensible
	Value    []byte    // Equal, GreaterOrEqual, LessOrEqual, Approx, Extensible
	Sub      *Substrings
	Rule     string // Extensible: matching rule, may be empty
	DNAttrs  bool   // Extensible: match the attributes of the name too
}

// Substrings of FilterSubstrings; nil Initial or Final: open at that end. At
// least one part is there.
type Substrings struct {
	Initial []byte
	Any     [][]byte
	Final   []byte
}

// And combines filters.
func And(f ...*Filter) *Filter { return &Filter{Kind: FilterAnd, Children: f} }

// Or combines filters.
func Or(f ...*Filter) *Filter { return &Filter{Kind: FilterOr, Children: f} }

// Not negates a filter.
func Not(f *Filter) *Filter { return &Filter{Kind: FilterNot, Children: []*Filter{f}} }

// Equal matches one value.
func Equal(attr, value string) *Filter {
	return &Filter{Kind: FilterEqual, Attr: attr, Value: []byte(value)}
}

// Present matches any value.
func Present(attr string) *Filter { return &Filter{Kind: FilterPresent, Attr: attr} }

func (f *Filter) appendTo(w *Writer) {
	tag := Context | Constructed | byte(f.Kind)
	switch f.Kind {
	case FilterAnd, FilterOr, FilterNot:
		at := w.Begin(tag)
		for _, c := range f.Children {
			c.appendTo(w)
		}
		w.End(at)
	case FilterPresent:
		w.String(Context|byte(FilterPresent), f.Attr)
	case FilterSubstrings:
		at := w.Begin(tag)
		w.String(TagOctets, f.Attr)
		l := w.Begin(TagSequence)
		if f.Sub.Initial != nil {
			w.Bytes(Context, f.Sub.Initial)
		}
		for _, b := range f.Sub.Any {
			w.Bytes(Context|1, b)
		}
		if f.Sub.Final != nil {
			w.Bytes(Context|2, f.Sub.Final)
		}
		w.End(l)
		w.End(at)
	case FilterExtensible:
		at := w.Begin(tag)
		if f.Rule != "" {
			w.String(Context|1, f.Rule)
		}
		if f.Attr != "" {
			w.String(Context|2, f.Attr)
		}
		w.Bytes(Context|3, f.Value)
		if f.DNAttrs {
			w.Bool(Context|4, true)
		}
		w.End(at)
	default:
		at := w.Begin(tag)
		w.String(TagOctets, f.Attr)
		w.Bytes(TagOctets, f.Value)
		w.End(at)
	}
}

func decodeFilter(r *Reader, depth int, count *int) (f *Filter, err error) {
	if depth > maxFilterDepth {
		return nil, errDepth
	}
	if *count++; *count > maxFilterNodes {
		return nil, errCount
	}
	tag, body, err := r.Next()
	if err != nil {
		return nil, err
	}
	f = &Filter{Kind: FilterKind(tag & tagNumberMask)}
	in := Reader{body}
	switch tag {
	case Context | byte(FilterPresent):
		f.Attr = string(body)
		return f, nil
	case Context | Constructed | byte(FilterAnd), Context | Constructed | byte(FilterOr), Context | Constructed | byte(FilterNot):
		for !in.Empty() {
			c, err := decodeFilter(&in, depth+1, count)
			if err != nil {
				return nil, err
			}
			f.Children = append(f.Children, c)
		}
		if f.Kind == FilterNot && len(f.Children) != 1 {
			return nil, errCount
		}
		return f, nil
	case Context | Constructed | byte(FilterSubstrings):
		return f, decodeSubstrings(f, &in)
	case Context | Constructed | byte(FilterExtensible):
		return f, decodeExtensible(f, &in)
	case Context | Constructed | byte(FilterEqual), Context | Constructed | byte(FilterGreaterOrEqual),
		Context | Constructed | byte(FilterLessOrEqual), Context | Constructed | byte(FilterApprox):
		if f.Attr, err = in.String(TagOctets); err != nil {
			return nil, err
		}
		f.Value, err = in.Bytes(TagOctets)
		return f, err
	}
	return nil, errTag
}

func decodeSubstrings(f *Filter, r *Reader) (err error) {
	if f.Attr, err = r.String(TagOctets); err != nil {
		return err
	}
	l, err := r.Seq(TagSequence)
	if err != nil {
		return err
	}
	f.Sub = &Substrings{}
	for parts := 0; !l.Empty(); parts++ {
		tag, b, err := l.Next()
		switch {
		case err != nil:
			return err
		case f.Sub.Final != nil || parts >= maxFilterNodes:
			return errCount
		case tag == Context && parts == 0:
			f.Sub.Initial = b
		case tag == Context|1:
			f.Sub.Any = append(f.Sub.Any, b)
		case tag == Context|2:
			f.Sub.Final = b
		default:
			return errTag
		}
	}
	if f.Sub.Initial == nil && f.Sub.Any == nil && f.Sub.Final == nil {
		return errCount
	}
	return nil
}

func decodeExtensible(f *Filter, r *Reader) error {
	rule, err := optional(r, Context|1)
	if err != nil {
		return err
	}
	attr, err := optional(r, Context|2)
	if err != nil {
		return err
	}
	f.Rule, f.Attr = string(rule), string(attr)
	if f.Value, err = r.Bytes(Context | 3); err != nil {
		return err
	}
	if r.Peek() == Context|4 {
		f.DNAttrs, err = r.Bool(Context | 4)
	}
	if err == nil && f.Rule == "" && f.Attr == "" {
		err = errValue
	}
	return err
}
