package ldap

// Result is what every final response carries, RFC 4511 4.1.9.
type Result struct {
	Code      ResultCode
	MatchedDN string
	Message   string   // diagnostic; safe to show to the client
	Referrals []string // URLs; with ResultReferral only
}

// BindResponse, RFC 4511 4.2.2.
type BindResponse struct {
	Result
	ServerCredentials []byte // nil: none
}

// SearchEntry is a SearchResultEntry.
type SearchEntry struct {
	DN         string
	Attributes []Attribute
}

// SearchReference is a SearchResultReference.
type SearchReference struct{ URLs []string }

// SearchDone is a SearchResultDone.
type SearchDone struct{ Result }

// ModifyResponse answers ModifyRequest.
type ModifyResponse struct{ Result }

// AddResponse answers AddRequest.
type AddResponse struct{ Result }

// DeleteResponse answers DeleteRequest.
type DeleteResponse struct{ Result }

// ModifyDNResponse answers ModifyDNRequest.
type ModifyDNResponse struct{ Result }

// CompareResponse answers CompareRequest.
type CompareResponse struct{ Result }

// ExtendedResponse, RFC 4511 4.12.
type ExtendedResponse struct {
	Result
	OID   string // empty: none
	Value []byte // nil: none
}

// IntermediateResponse, RFC 4511 4.13.
type IntermediateResponse struct {
	OID   string // empty: none
	Value []byte // nil: none
}

// NoticeOfDisconnection is the unsolicited message before a server hangs up
// (RFC 4511 4.4.1).
func NoticeOfDisconnection(code ResultCode, message string) *Message {
	return &Message{Op: &ExtendedResponse{Result: Result{Code: code, Message: message}, OID: OIDNoticeOfDisconnection}}
}

// ResponseTo returns the final response of the type that answers req, carrying
// res; nil where there is none (unbind, abandon).
func ResponseTo(req Op, res Result) Op {
	switch req.(type) {
	case *BindRequest:
		return &BindResponse{Result: res}
	case *SearchRequest:
		return &SearchDone{res}
	case *ModifyRequest:
		return &ModifyResponse{res}
	case *AddRequest:
		return &AddResponse{res}
	case *DeleteRequest:
		return &DeleteResponse{res}
	case *ModifyDNRequest:
		return &ModifyDNResponse{res}
	case *CompareRequest:
		return &CompareResponse{res}
	case *ExtendedRequest:
		return &ExtendedResponse{Result: res}
	}
	return nil
}

func (r *Result) fields(w *Writer) {
	w.Int(TagEnum, int64(r.Code))
	w.String(TagOctets, r.MatchedDN)
	w.String(TagOctets, r.Message)
	if len(r.Referrals) > 0 {
		at := w.Begin(Context | Constructed | 3)
		for _, u := range r.Referrals {
			w.String(TagOctets, u)
		}
		w.End(at)
	}
}

func (r *Result) write(w *Writer, tag byte) {
	at := w.Begin(tag)
	r.fields(w)
	w.End(at)
}

func (o *BindResponse) appendTo(w *Writer) {
	at := w.Begin(opBindResponse)
	o.fields(w)
	if o.ServerCredentials != nil {
		w.Bytes(Context|7, o.ServerCredentials)
	}
	w.End(at)
}

func (o *SearchEntry) appendTo(w *Writer) {
	at := w.Begin(opSearchEntry)
	w.String(TagOctets, o.DN)
	appendAttributes(w, o.Attributes)
	w.End(at)
}

func (o *SearchReference) appendTo(w *Writer) {
	at := w.Begin(opSearchReference)
	for _, u := range o.URLs {
		w.String(TagOctets, u)
	}
	w.End(at)
}

func (o *SearchDone) appendTo(w *Writer)       { o.write(w, opSearchDone) }
func (o *ModifyResponse) appendTo(w *Writer)   { o.write(w, opModifyResponse) }
func (o *AddResponse) appendTo(w *Writer)      { o.write(w, opAddResponse) }
func (o *DeleteResponse) appendTo(w *Writer)   { o.write(w, opDeleteResponse) }
func (o *ModifyDNResponse) appendTo(w *Writer) { o.write(w, opModifyDNResponse) }
func (o *CompareResponse) appendTo(w *Writer)  { o.write(w, opCompareResponse) }

func (o *ExtendedResponse) appendTo(w *Writer) {
	at := w.Begin(opExtendedResponse)
	o.fields(w)
	if o.OID != "" {
		w.String(Context|10, o.OID)
	}
	if o.Value != nil {
		w.Bytes(Context|11, o.Value)
	}
	w.End(at)
}

func (o *IntermediateResponse) appendTo(w *Writer) {
	at := w.Begin(opIntermediate)
	if o.OID != "" {
		w.String(Context, o.OID)
	}
	if o.Value != nil {
		w.Bytes(Context|1, o.Value)
	}
	w.End(at)
}
