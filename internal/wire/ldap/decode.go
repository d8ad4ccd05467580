package ldap

// decodeOp decodes the operation with the application tag.
func decodeOp(tag byte, body []byte) (Op, error) {
	r := Reader{body}
	var op Op
	var what string
	var err error
	switch tag {
	case opBind:
		what = "bind"
		op, err = decodeBind(&r)
	case opUnbind:
		return &UnbindRequest{}, nil
	case opSearch:
		what = "search"
		op, err = decodeSearch(&r)
	case opModify:
		what = "modify"
		op, err = decodeModify(&r)
	case opAdd:
		what = "add"
		o := &AddRequest{}
		o.DN, o.Attributes, err = decodeEntry(&r)
		op = o
	case opDelete:
		return &DeleteRequest{string(body)}, nil
	case opModifyDN:
		what = "modify DN"
		op, err = decodeModifyDN(&r)
	case opCompare:
		what = "compare"
		op, err = decodeCompare(&r)
	case opAbandon:
		what = "abandon"
		var id int32
		id, err = uint31Value(body)
		op = &AbandonRequest{id}
	case opExtended:
		what = "extended"
		o := &ExtendedRequest{}
		if o.OID, err = r.String(Context); err == nil {
			o.Value, err = optional(&r, Context|1)
		}
		op = o
	default:
		return decodeResponse(tag, &r)
	}
	if err != nil {
		return nil, invalid(what, err)
	}
	return op, nil
}

// optional returns the contents of the next element if it has the tag, else
// nil.
func optional(r *Reader, tag byte) ([]byte, error) {
	if r.Peek() != tag {
		return nil, nil
	}
	return r.Bytes(tag)
}

func decodeBind(r *Reader) (o *BindRequest, err error) {
	o = &BindRequest{}
	if o.Version, err = r.uint31(TagInt); err != nil {
		return nil, err
	}
	if o.Name, err = r.String(TagOctets); err != nil {
		return nil, err
	}
	tag, body, err := r.Next()
	switch {
	case err != nil:
		return nil, err
	case tag == Context:
		o.Simple = body
	case tag == Context|Constructed|3:
		s := Reader{body}
		o.SASL = &SASLCredentials{}
		if o.SASL.Mechanism, err = s.String(TagOctets); err == nil {
			o.SASL.Credentials, err = optional(&s, TagOctets)
		}
	default:
		o.Other = &OtherCredentials{tag, body}
	}
	return o, err
}

func decodeSearch(r *Reader) (o *SearchRequest, err error) {
	o = &SearchRequest{}
	if o.Base, err = r.String(TagOctets); err != nil {
		return nil, err
	}
	scope, err := r.Int(TagEnum)
	if err != nil || scope < 0 || scope > int64(ScopeChildren) {
		return nil, errValue
	}
	deref, err := r.Int(TagEnum)
	if err != nil || deref < 0 || deref > 3 {
		return nil, errValue
	}
	o.Scope, o.Deref = Scope(scope), Deref(deref)
	if o.SizeLimit, err = r.uint31(TagInt); err != nil {
		return nil, err
	}
	if o.TimeLimit, err = r.uint31(TagInt); err != nil {
		return nil, err
	}
	if o.TypesOnly, err = r.Bool(TagBool); err != nil {
		return nil, err
	}
	count := 0
	if o.Filter, err = decodeFilter(r, 0, &count); err != nil {
		return nil, err
	}
	l, err := r.Seq(TagSequence)
	if err != nil {
		return nil, err
	}
	o.Attributes, err = decodeStrings(&l)
	return o, err
}

func decodeStrings(l *Reader) (out []string, err error) {
	for !l.Empty() {
		s, err := l.String(TagOctets)
		if err != nil {
			return nil, err
		}
		if len(out) == maxList {
			return nil, errCount
		}
		out = append(out, s)
	}
	return out, nil
}

func decodeModify(r *Reader) (o *ModifyRequest, err error) {
	o = &ModifyRequest{}
	if o.DN, err = r.String(TagOctets); err != nil {
		return nil, err
	}
	l, err := r.Seq(TagSequence)
	if err != nil {
		return nil, err
	}
	for !l.Empty() {
		s, err := l.Seq(TagSequence)
		if err != nil {
			return nil, err
		}
		op, err := s.Int(TagEnum)
		if err != nil || op < 0 || op > int64(ChangeIncrement) {
			return nil, errValue
		}
		a, err := decodeAttribute(&s)
		if err != nil {
			return nil, err
		}
		if len(o.Changes) == maxList {
			return nil, errCount
		}
		o.Changes = append(o.Changes, Change{ChangeOp(op), a})
	}
	return o, nil
}

// decodeEntry reads a name and a list of attributes.
func decodeEntry(r *Reader) (dn string, attrs []Attribute, err error) {
	if dn, err = r.String(TagOctets); err != nil {
		return "", nil, err
	}
	l, err := r.Seq(TagSequence)
	if err != nil {
		return "", nil, err
	}
	for !l.Empty() {
		a, err := decodeAttribute(&l)
		if err != nil {
			return "", nil, err
		}
		if len(attrs) == maxList {
			return "", nil, errCount
		}
		attrs = append(attrs, a)
	}
	return dn, attrs, nil
}

func decodeAttribute(r *Reader) (a Attribute, err error) {
	s, err := r.Seq(TagSequence)
	if err != nil {
		return a, err
	}
	if a.Name, err = s.String(TagOctets); err != nil {
		return a, err
	}
	set, err := s.Seq(TagSet)
	if err != nil {
		return a, err
	}
	for !set.Empty() {
		v, err := set.Bytes(TagOctets)
		if err != nil {
			return a, err
		}
		if len(a.Values) == maxList {
			return a, errCount
		}
		a.Values = append(a.Values, v)
	}
	return a, nil
}

func decodeModifyDN(r *Reader) (o *ModifyDNRequest, err error) {
	o = &ModifyDNRequest{}
	if o.DN, err = r.String(TagOctets); err != nil {
		return nil, err
	}
	if o.NewRDN, err = r.String(TagOctets); err != nil {
		return nil, err
	}
	if o.DeleteOldRDN, err = r.Bool(TagBool); err != nil {
		return nil, err
	}
	if r.Peek() == Context {
		s, err := r.String(Context)
		if err != nil {
			return nil, err
		}
		o.NewSuperior = &s
	}
	return o, nil
}

func decodeCompare(r *Reader) (o *CompareRequest, err error) {
	o = &CompareRequest{}
	if o.DN, err = r.String(TagOctets); err != nil {
		return nil, err
	}
	s, err := r.Seq(TagSequence)
	if err != nil {
		return nil, err
	}
	if o.Attribute, err = s.String(TagOctets); err != nil {
		return nil, err
	}
	o.Value, err = s.Bytes(TagOctets)
	return o, err
}

// decodeResponse decodes what a server sends.
func decodeResponse(tag byte, r *Reader) (Op, error) {
	var res Result
	var err error
	switch tag {
	case opSearchEntry:
		o := &SearchEntry{}
		if o.DN, o.Attributes, err = decodeEntry(r); err != nil {
			return nil, invalid("entry", err)
		}
		return o, nil
	case opSearchReference:
		o := &SearchReference{}
		if o.URLs, err = decodeStrings(r); err != nil {
			return nil, invalid("reference", err)
		}
		return o, nil
	case opIntermediate:
		o := &IntermediateResponse{}
		oid, err := optional(r, Context)
		if err == nil {
			o.OID = string(oid)
			o.Value, err = optional(r, Context|1)
		}
		if err != nil {
			return nil, invalid("intermediate response", err)
		}
		return o, nil
	case opBindResponse, opSearchDone, opModifyResponse, opAddResponse, opDeleteResponse, opModifyDNResponse, opCompareResponse, opExtendedResponse:
		if res, err = decodeResult(r); err != nil {
			return nil, invalid("response", err)
		}
	default:
		return nil, invalid("operation", errTag)
	}
	switch tag {
	case opBindResponse:
		o := &BindResponse{Result: res}
		o.ServerCredentials, err = optional(r, Context|7)
		return o, wrap("bind response", err)
	case opSearchDone:
		return &SearchDone{res}, nil
	case opModifyResponse:
		return &ModifyResponse{res}, nil
	case opAddResponse:
		return &AddResponse{res}, nil
	case opDeleteResponse:
		return &DeleteResponse{res}, nil
	case opModifyDNResponse:
		return &ModifyDNResponse{res}, nil
	case opCompareResponse:
		return &CompareResponse{res}, nil
	}
	o := &ExtendedResponse{Result: res}
	oid, err := optional(r, Context|10)
	if err == nil {
		o.OID = string(oid)
		o.Value, err = optional(r, Context|11)
	}
	return o, wrap("extended response", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return invalid(what, err)
}

func decodeResult(r *Reader) (res Result, err error) {
	code, err := r.uint31(TagEnum)
	if err != nil {
		return res, err
	}
	res.Code = ResultCode(code)
	if res.MatchedDN, err = r.String(TagOctets); err != nil {
		return res, err
	}
	if res.Message, err = r.String(TagOctets); err != nil {
		return res, err
	}
	if r.Peek() == Context|Constructed|3 {
		l, err := r.Seq(Context | Constructed | 3)
		if err != nil {
			return res, err
		}
		if res.Referrals, err = decodeStrings(&l); err != nil {
			return res, err
		}
	}
	return res, nil
}
