package ldap

// Object identifiers of controls, see MS-ADTS 3.1.1.3.4.1 for Microsoft's.
const (
	OIDPagedResults     = "1.2.840.113556.1.4.319" // RFC 2696
	OIDSortRequest      = "1.2.840.113556.1.4.473" // RFC 2891
	OIDSortResponse     = "1.2.840.113556.1.4.474"
	OIDVLVRequest       = "2.16.840.1.113730.3.4.9"
	OIDVLVResponse      = "2.16.840.1.113730.3.4.10"
	OIDNotification     = "1.2.840.113556.1.4.528"
	OIDDirSync          = "1.2.840.113556.1.4.841"
	OIDShowDeleted      = "1.2.840.113556.1.4.417"
	OIDExtendedDN       = "1.2.840.113556.1.4.529"
	OIDSDFlags          = "1.2.840.113556.1.4.801"
	OIDRangeRetrieval   = "1.2.840.113556.1.4.802"
	OIDDomainScope      = "1.2.840.113556.1.4.1339"
	OIDSearchOptions    = "1.2.840.113556.1.4.1340"
	OIDTreeDelete       = "1.2.840.113556.1.4.805"
	OIDLazyCommit       = "1.2.840.113556.1.4.619"
	OIDPermissiveModify = "1.2.840.113556.1.4.1413"
	OIDManageDSAIT      = "2.16.840.1.113730.3.4.2"
)

// Object identifiers of matching rules for extensible filters.
const (
	RuleBitAnd  = "1.2.840.113556.1.4.803"
	RuleBitOr   = "1.2.840.113556.1.4.804"
	RuleInChain = "1.2.840.113556.1.4.1941"
)

// PagedResults is the value of that control in both directions, RFC 2696.
type PagedResults struct {
	Size   int32  // request: page size; response: estimate of the total, 0 unknown
	Cookie []byte // empty: first request, or last response
}

// Control encodes p.
func (p PagedResults) Control(critical bool) Control {
	var w Writer
	at := w.Begin(TagSequence)
	w.Int(TagInt, int64(p.Size))
	w.Bytes(TagOctets, p.Cookie)
	w.End(at)
	return Control{OID: OIDPagedResults, Critical: critical, Value: w.B}
}

// ParsePagedResults decodes a control's value.
func ParsePagedResults(value []byte) (p PagedResults, err error) {
	s, err := NewReader(value).Seq(TagSequence)
	if err == nil {
		if p.Size, err = s.uint31(TagInt); err == nil {
			p.Cookie, err = s.Bytes(TagOctets)
		}
	}
	return p, wrap("paged results control", err)
}

// SortKey is one key of a server side sort, RFC 2891.
type SortKey struct {
	Attribute string
	Rule      string // matching rule, may be empty
	Reverse   bool
}

// SortControl encodes a sort request.
func SortControl(critical bool, keys ...SortKey) Control {
	var w Writer
	at := w.Begin(TagSequence)
	for _, k := range keys {
		s := w.Begin(TagSequence)
		w.String(TagOctets, k.Attribute)
		if k.Rule != "" {
			w.String(Context, k.Rule)
		}
		if k.Reverse {
			w.Bool(Context|1, true)
		}
		w.End(s)
	}
	w.End(at)
	return Control{OID: OIDSortRequest, Critical: critical, Value: w.B}
}

// ParseSort decodes a sort request's value; there are at most 16 keys.
func ParseSort(value []byte) (keys []SortKey, err error) {
	l, err := NewReader(value).Seq(TagSequence)
	for err == nil && !l.Empty() {
		if len(keys) == 16 {
			return nil, invalid("sort control", errCount)
		}
		var k SortKey
		if k, err = decodeSortKey(&l); err == nil {
			keys = append(keys, k)
		}
	}
	if err != nil {
		return nil, invalid("sort control", err)
	}
	return keys, nil
}

func decodeSortKey(l *Reader) (k SortKey, err error) {
	s, err := l.Seq(TagSequence)
	if err != nil {
		return k, err
	}
	if k.Attribute, err = s.String(TagOctets); err != nil {
		return k, err
	}
	rule, err := optional(&s, Context)
	if err != nil {
		return k, err
	}
	k.Rule = string(rule)
	if s.Peek() == Context|1 {
		k.Reverse, err = s.Bool(Context | 1)
	}
	return k, err
}

// SortResult encodes the control that answers a sort request.
func SortResult(code ResultCode) Control {
	var w Writer
	at := w.Begin(TagSequence)
	w.Int(TagEnum, int64(code))
	w.End(at)
	return Control{OID: OIDSortResponse, Value: w.B}
}

// DirSync is the value of that control, MS-ADTS 3.1.1.3.4.1.3. In a response
// Flags is not 0 when there is more.
type DirSync struct {
	Flags    int64
	MaxBytes int64
	Cookie   []byte
}

// Control encodes d.
func (d DirSync) Control(critical bool) Control {
	var w Writer
	at := w.Begin(TagSequence)
	w.Int(TagInt, d.Flags)
	w.Int(TagInt, d.MaxBytes)
	w.Bytes(TagOctets, d.Cookie)
	w.End(at)
	return Control{OID: OIDDirSync, Critical: critical, Value: w.B}
}

// ParseDirSync decodes a control's value.
func ParseDirSync(value []byte) (d DirSync, err error) {
	s, err := NewReader(value).Seq(TagSequence)
	if err == nil {
		d.Flags, err = s.Int(TagInt)
	}
	if err == nil {
		d.MaxBytes, err = s.Int(TagInt)
	}
	if err == nil {
		d.Cookie, err = s.Bytes(TagOctets)
	}
	return d, wrap("dirsync control", err)
}

// IntControl encodes a control whose value is SEQUENCE { INTEGER }: SD flags,
// extended DN, search options.
func IntControl(oid string, critical bool, v int64) Control {
	var w Writer
	at := w.Begin(TagSequence)
	w.Int(TagInt, v)
	w.End(at)
	return Control{OID: oid, Critical: critical, Value: w.B}
}

// ParseIntControl is the inverse of IntControl.
func ParseIntControl(value []byte) (int64, error) {
	s, err := NewReader(value).Seq(TagSequence)
	var v int64
	if err == nil {
		v, err = s.Int(TagInt)
	}
	return v, wrap("control", err)
}
