package smtp

import (
	"errors"
	"strings"

	"rialto/internal/model"
)

// Param is an ESMTP parameter of MAIL or RCPT.
type Param struct {
	Key   string // upper case
	Value string
	Has   bool // "=" was there
}

// Mail is the argument of MAIL FROM.
type Mail struct {
	From     model.Address // zero for <>
	Size     int64         // RFC 1870; -1 when not declared
	Body     string        // "", "7BIT", "8BITMIME", "BINARYMIME"
	Ret      string        // "", "FULL", "HDRS" (RFC 3461)
	EnvID    string        // decoded
	Auth     *string       // decoded (RFC 4954 5); "<>" is the empty string
	SMTPUTF8 bool          // RFC 6531
	Other    []Param       // not known here; answer 555 unless you do
}

// Notify is the DSN conditions of a recipient, as bits (RFC 3461 4.1).
type Notify uint8

// The conditions. Zero means that the client said nothing.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// String returns the parameter's value, empty for zero.
func (n Notify) String() string {
	var l []string
	for _, c := range notifyNames() {
		if n&c.bit != 0 {
			l = append(l, c.name)
		}
	}
	return strings.Join(l, ",")
}

type notifyName struct {
	bit  Notify
	name string
}

func notifyNames() [4]notifyName {
	return [4]notifyName{{NotifyNever, "NEVER"}, {NotifySuccess, "SUCCESS"}, {NotifyFailure, "FAILURE"}, {NotifyDelay, "DELAY"}}
}

// Rcpt is the argument of RCPT TO, or a recipient to be sent.
type Rcpt struct {
	To        model.Address // Domain is empty for <postmaster> only
	Notify    Notify
	ORcptType string // "rfc822"; empty when not given
	ORcpt     string // decoded
	Other     []Param
}

// maxParams bounds the parameters of one command.
const maxParams = 32

// ParseMail reads what follows the verb MAIL.
func ParseMail(args string) (*Mail, error) {
	path, params, err := parsePathParams(args, "FROM:")
	if err != nil {
		return nil, err
	}
	m := &Mail{Size: -1}
	if path != "" {
		if m.From, err = parsePath(path); err != nil {
			return nil, Replyf(553, "5.1.7", "Sender address is not valid")
		}
	}
	for _, p := range params {
		if err := m.set(p); err != nil {
			return nil, Replyf(501, "5.5.4", "Invalid value of parameter %s", p.Key)
		}
	}
	return m, nil
}

var errParam = errors.New("smtp: bad parameter")

func (m *Mail) set(p Param) (err error) {
	switch p.Key {
	case "SIZE":
		m.Size, err = parseSize(p.Value)
	case "BODY":
		m.Body = upper(p.Value)
		if m.Body != "7BIT" && m.Body != "8BITMIME" && m.Body != "BINARYMIME" {
			return errParam
		}
	case "RET":
		m.Ret = upper(p.Value)
		if m.Ret != "FULL" && m.Ret != "HDRS" {
			return errParam
		}
	case "ENVID":
		if len(p.Value) > 300 { // RFC 3461 4.4 has 100 decoded
			return errParam
		}
		m.EnvID, err = DecodeXtext(p.Value)
	case "AUTH":
		s, err := DecodeXtext(p.Value)
		if err != nil || len(s) > 500 {
			return errParam
		}
		if s == "<>" {
			s = ""
		}
		m.Auth = &s
	case "SMTPUTF8":
		m.SMTPUTF8 = true
		if p.Has {
			return errParam
		}
	default:
		m.Other = append(m.Other, p)
	}
	return err
}

// ParseRcpt reads what follows the verb RCPT.
func ParseRcpt(args string) (*Rcpt, error) {
	path, params, err := parsePathParams(args, "TO:")
	if err != nil {
		return nil, err
	}
	r := &Rcpt{}
	if strings.EqualFold(path, "postmaster") {
		r.To = model.Address{Local: path}
	} else if r.To, err = parsePath(path); err != nil {
		return nil, Replyf(553, "5.1.3", "Recipient address is not valid")
	}
	for _, p := range params {
		if err := r.set(p); err != nil {
			return nil, Replyf(501, "5.5.4", "Invalid value of parameter %s", p.Key)
		}
	}
	return r, nil
}

func (r *Rcpt) set(p Param) (err error) {
	switch p.Key {
	case "NOTIFY":
		r.Notify, err = parseNotify(p.Value)
	case "ORCPT":
		typ, addr, ok := strings.Cut(p.Value, ";")
		if !ok || typ == "" || len(p.Value) > 600 { // RFC 3461 4.2 has 500
			return errParam
		}
		r.ORcptType = strings.ToLower(typ)
		r.ORcpt, err = DecodeXtext(addr)
	default:
		r.Other = append(r.Other, p)
	}
	return err
}

func parseNotify(s string) (Notify, error) {
	var n Notify
next:
	for word := range strings.SplitSeq(upper(s), ",") {
		for _, c := range notifyNames() {
			if c.name == word {
				n |= c.bit
				continue next
			}
		}
		return 0, errParam
	}
	if n&NotifyNever != 0 && n != NotifyNever {
		return 0, errParam
	}
	return n, nil
}

// parsePathParams splits "FROM:<path> KEY=value …". Spaces before the path and
// a path without brackets are accepted, as many clients send them.
func parsePathParams(args, prefix string) (path string, params []Param, err error) {
	if len(args) < len(prefix) || upper(args[:len(prefix)]) != prefix {
		return "", nil, Replyf(501, "5.5.4", "Syntax: %s<address>", prefix)
	}
	rest := strings.TrimLeft(args[len(prefix):], " \t")
	switch {
	case strings.HasPrefix(rest, "<"):
		end := pathEnd(rest)
		if end < 0 {
			return "", nil, Replyf(501, "5.5.4", "Address without closing bracket")
		}
		path, rest = rest[1:end], rest[end+1:]
		if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			return "", nil, Replyf(501, "5.5.4", "Unexpected text after the address")
		}
	case rest == "":
		return "", nil, Replyf(501, "5.5.4", "Syntax: %s<address>", prefix)
	default:
		path, rest, _ = strings.Cut(rest, " ")
	}
	for _, f := range strings.Fields(rest) {
		if len(params) == maxParams {
			return "", nil, Replyf(501, "5.5.4", "Too many parameters")
		}
		k, v, has := strings.Cut(f, "=")
		k = upper(k)
		if !validKeyword(k) || has && v == "" {
			return "", nil, Replyf(501, "5.5.4", "Malformed parameter")
		}
		for _, p := range params {
			if p.Key == k {
				return "", nil, Replyf(501, "5.5.4", "Parameter given twice")
			}
		}
		params = append(params, Param{k, v, has})
	}
	return path, params, nil
}

// pathEnd returns the index of the ">" that closes the path, past quoted text.
func pathEnd(s string) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case '>':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// parsePath reads a mailbox; a source route before it is dropped (RFC 5321
// appendix C).
func parsePath(s string) (model.Address, error) {
	if strings.HasPrefix(s, "@") {
		if i := strings.IndexByte(s, ':'); i > 0 {
			s = s[i+1:]
		}
	}
	return model.ParseAddress(s)
}

func validKeyword(k string) bool {
	if k == "" || k[0] == '-' {
		return false
	}
	for i := 0; i < len(k); i++ {
		c := k[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
