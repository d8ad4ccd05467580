package ldap

// The application tags of RFC 4511.
const (
	opBind             = Application | Constructed
	opBindResponse     = Application | Constructed | 1
	opUnbind           = Application | 2
	opSearch           = Application | Constructed | 3
	opSearchEntry      = Application | Constructed | 4
	opSearchDone       = Application | Constructed | 5
	opModify           = Application | Constructed | 6
	opModifyResponse   = Application | Constructed | 7
	opAdd              = Application | Constructed | 8
	opAddResponse      = Application | Constructed | 9
	opDelete           = Application | 10
	opDeleteResponse   = Application | Constructed | 11
	opModifyDN         = Application | Constructed | 12
	opModifyDNResponse = Application | Constructed | 13
	opCompare          = Application | Constructed | 14
	opCompareResponse  = Application | Constructed | 15
	opAbandon          = Application | 16
	opSearchReference  = Application | Constructed | 19
	opExtended         = Application | Constructed | 23
	opExtendedResponse = Application | Constructed | 24
	opIntermediate     = Application | Constructed | 25
)

// BindRequest, RFC 4511 4.2. Exactly one of Simple (not nil), SASL and Other
// is set.
type BindRequest struct {
	Version int32
	Name    string
	Simple  []byte // password; empty and not nil for anonymous
	SASL    *SASLCredentials

	// Other is a choice beyond the RFC: Microsoft's sicily NTLM negotiation
	// uses context tags 9 to 11 (MS-ADTS 5.1.1.1.3).
	Other *OtherCredentials
}

// SASLCredentials of a bind.
type SASLCredentials struct {
	Mechanism   string
	Credentials []byte // nil: none
}

// OtherCredentials are the contents of an unknown authentication choice.
type OtherCredentials struct {
	Tag  byte
	Body []byte
}

// UnbindRequest ends the session.
type UnbindRequest struct{}

// Scope of a search.
type Scope uint8

// The scopes.
const (
	ScopeBase Scope = iota
	ScopeOneLevel
	ScopeSubtree
	ScopeChildren // draft-sermersheim-ldap-subordinate-scope
)

// Deref says when aliases are followed.
type Deref uint8

// SearchRequest, RFC 4511 4.5.1.
type SearchRequest struct {
	Base       string
	Scope      Scope
	Deref      Deref
	SizeLimit  int32 // 0: none
	TimeLimit  int32 // seconds, 0: none
	TypesOnly  bool
	Filter     *Filter
	Attributes []string // empty: all user attributes
}

// Attribute is a description ("cn", "member;range=0-1499") and its values.
type Attribute struct {
	Name   string
	Values [][]byte
}

// ChangeOp is what a Change does with its values.
type ChangeOp uint8

// The operations of RFC 4511 4.6 and RFC 4525.
const (
	ChangeAdd ChangeOp = iota
	ChangeDelete
	ChangeReplace
	ChangeIncrement
)

// Change is one part of a modification.
type Change struct {
	Op        ChangeOp
	Attribute Attribute
}

// ModifyRequest, RFC 4511 4.6.
type ModifyRequest struct {
	DN      string
	Changes []Change
}

// AddRequest, RFC 4511 4.7.
type AddRequest struct {
	DN         string
	Attributes []Attribute
}

// DeleteRequest, RFC 4511 4.8.
type DeleteRequest struct{ DN string }

// ModifyDNRequest, RFC 4511 4.9.
type ModifyDNRequest struct {
	DN           string
	NewRDN       string
	DeleteOldRDN bool
	NewSuperior  *string // nil: stays under the same parent
}

// CompareRequest, RFC 4511 4.10.
type CompareRequest struct {
	DN        string
	Attribute string
	Value     []byte
}

// AbandonRequest, RFC 4511 4.11.
type AbandonRequest struct{ ID int32 }

// ExtendedRequest, RFC 4511 4.12.
type ExtendedRequest struct {
	OID   string
	Value []byte // nil: none
}

// Well-known extended operations.
const (
	OIDStartTLS              = "1.3.6.1.4.1.1466.20037"
	OIDNoticeOfDisconnection = "1.3.6.1.4.1.1466.20036"
	OIDWhoAmI                = "1.3.6.1.4.1.4203.1.11.3"
	OIDPasswordModify        = "1.3.6.1.4.1.4203.1.11.1"
	OIDFastBind              = "1.2.840.113556.1.4.1781"
)

func (o *BindRequest) appendTo(w *Writer) {
	at := w.Begin(opBind)
	w.Int(TagInt, int64(o.Version))
	w.String(TagOctets, o.Name)
	switch {
	case o.SASL != nil:
		s := w.Begin(Context | Constructed | 3)
		w.String(TagOctets, o.SASL.Mechanism)
		if o.SASL.Credentials != nil {
			w.Bytes(TagOctets, o.SASL.Credentials)
		}
		w.End(s)
	case o.Other != nil:
		w.Bytes(o.Other.Tag, o.Other.Body)
	default:
		w.Bytes(Context, o.Simple)
	}
	w.End(at)
}

func (o *UnbindRequest) appendTo(w *Writer) { w.Bytes(opUnbind, nil) }

func (o *SearchRequest) appendTo(w *Writer) {
	at := w.Begin(opSearch)
	w.String(TagOctets, o.Base)
	w.Int(TagEnum, int64(o.Scope))
	w.Int(TagEnum, int64(o.Deref))
	w.Int(TagInt, int64(o.SizeLimit))
	w.Int(TagInt, int64(o.TimeLimit))
	w.Bool(TagBool, o.TypesOnly)
	o.Filter.appendTo(w)
	l := w.Begin(TagSequence)
	for _, a := range o.Attributes {
		w.String(TagOctets, a)
	}
	w.End(l)
	w.End(at)
}

func (a *Attribute) appendTo(w *Writer) {
	at := w.Begin(TagSequence)
	w.String(TagOctets, a.Name)
	set := w.Begin(TagSet)
	for _, v := range a.Values {
		w.Bytes(TagOctets, v)
	}
	w.End(set)
	w.End(at)
}

func appendAttributes(w *Writer, l []Attribute) {
	at := w.Begin(TagSequence)
	for i := range l {
		l[i].appendTo(w)
	}
	w.End(at)
}

func (o *ModifyRequest) appendTo(w *Writer) {
	at := w.Begin(opModify)
	w.String(TagOctets, o.DN)
	l := w.Begin(TagSequence)
	for i := range o.Changes {
		c := w.Begin(TagSequence)
		w.Int(TagEnum, int64(o.Changes[i].Op))
		o.Changes[i].Attribute.appendTo(w)
		w.End(c)
	}
	w.End(l)
	w.End(at)
}

func (o *AddRequest) appendTo(w *Writer) {
	at := w.Begin(opAdd)
	w.String(TagOctets, o.DN)
	appendAttributes(w, o.Attributes)
	w.End(at)
}

func (o *DeleteRequest) appendTo(w *Writer) { w.String(opDelete, o.DN) }

func (o *ModifyDNRequest) appendTo(w *Writer) {
	at := w.Begin(opModifyDN)
	w.String(TagOctets, o.DN)
	w.String(TagOctets, o.NewRDN)
	w.Bool(TagBool, o.DeleteOldRDN)
	if o.NewSuperior != nil {
		w.String(Context, *o.NewSuperior)
	}
	w.End(at)
}

func (o *CompareRequest) appendTo(w *Writer) {
	at := w.Begin(opCompare)
	w.String(TagOctets, o.DN)
	s := w.Begin(TagSequence)
	w.String(TagOctets, o.Attribute)
	w.Bytes(TagOctets, o.Value)
	w.End(s)
	w.End(at)
}

func (o *AbandonRequest) appendTo(w *Writer) { w.Int(opAbandon, int64(o.ID)) }

func (o *ExtendedRequest) appendTo(w *Writer) {
	at := w.Begin(opExtended)
	w.String(Context, o.OID)
	if o.Value != nil {
		w.Bytes(Context|1, o.Value)
	}
	w.End(at)
}
