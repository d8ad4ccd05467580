package model

import "strings"

// Address is an SMTP mailbox as in an envelope: local part and domain, no
// display name. The local part is kept as the sender wrote it, the domain in
// lower case. The zero Address is the null reverse-path "<>".
type Address struct {
	Local  string // unquoted
	Domain string // A-label or U-label, lower case
}

// IsZero reports whether a is the null reverse-path.
func (a Address) IsZero() bool { return a.Local == "" && a.Domain == "" }

// String returns local@domain, quoting the local part where RFC 5321 4.1.2
// demands it.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	l := a.Local
	if !isDotAtom(l) {
		l = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(l) + `"`
	}
	if a.Domain == "" {
		return l
	}
	return l + "@" + a.Domain
}

// Key returns the form used for look-ups: everything in lower case, since the
// directory compares proxy addresses without case.
func (a Address) Key() string { return strings.ToLower(a.String()) }

// ParseAddress reads local@domain, with the local part possibly quoted. It does
// not accept display names, comments, source routes or control characters.
// Limits: local part 64 octets, domain 255 (RFC 5321 4.5.3.1).
func ParseAddress(s string) (Address, error) {
	bad := func() (Address, error) {
		return Address{}, E("model.address", KindInvalid, s, nil)
	}
	var local, rest string
	if strings.HasPrefix(s, `"`) {
		var b strings.Builder
		i := 1
		for ; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' {
				i++
				if i >= len(s) {
					return bad()
				}
			}
			b.WriteByte(s[i])
		}
		if i >= len(s) {
			return bad()
		}
		local, rest = b.String(), s[i+1:]
	} else {
		at := strings.LastIndexByte(s, '@')
		if at < 0 {
			return bad()
		}
		local, rest = s[:at], s[at:]
		if !isDotAtom(local) {
			return bad()
		}
	}
	if len(rest) < 2 || rest[0] != '@' || local == "" || len(local) > 64 || len(rest) > 256 {
		return bad()
	}
	domain := strings.ToLower(strings.TrimSuffix(rest[1:], "."))
	if !validDomain(domain) || strings.IndexFunc(local, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return bad()
	}
	return Address{Local: local, Domain: domain}, nil
}

// isDotAtom reports whether s is a dot-string of RFC 5321 or RFC 6531 (UTF-8
// allowed); consecutive and trailing dots, which some systems issue, are let pass.
func isDotAtom(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 0x80, c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0:
		default:
			return false
		}
	}
	return true
}

func validDomain(d string) bool {
	if strings.HasPrefix(d, "[") {
		return strings.HasSuffix(d, "]") && len(d) > 2 && strings.IndexFunc(d, func(r rune) bool { return r <= ' ' || r == 0x7f }) < 0
	}
	if d == "" {
		return false
	}
	for _, label := range strings.Split(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if c < 0x80 && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}
